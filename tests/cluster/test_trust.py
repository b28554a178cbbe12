"""Whom an owner believes: a front, by the ledger's secret, and nobody else."""

import asyncio
import logging

import httpx
import pytest
import trustme
from dibs.api.lane.lane import SPARED
from dibs.cluster import origin, seat
from dibs.cluster.origin import Origin
from dibs.errors import ConfigError
from dibs.ledger.terms import Owner

PAUSE = ("POST", "/queues/default/pause")
SECRET = b"0123456789abcdef"
HOPPED = (origin.HOPS, b"1")
FAR = "203.0.113.9"


def scope_of(method, path, query=b""):
    return {
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "http_version": "1.1",
        "scheme": "https",
        "client": (FAR, 999),
    }


def header(method, path, *, secret=SECRET, exposed=False):
    scope = scope_of(method, path)
    return Origin.of(scope, 1, exposed=exposed).header(secret, scope)


async def who(server):
    """Who did the last action, as the owner has it."""
    actions = server.context.actions.of(None, 1)
    return actions[0]["who"]


def test_a_request_is_its_clients_whoever_passed_it_on(cluster):
    async def test(made):
        owner, front = await made.pair()
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.7", verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=front.url) as client:
            assert (await client.request(*PAUSE)).status_code == 200
        assert await who(owner) == "anybody at 127.0.0.7"

    cluster(test)


def test_who_has_the_secret_is_believed_and_a_client_of_a_front_is_not(cluster):
    async def test(made):
        owner, front = await made.pair()
        good = dict([header(*PAUSE), HOPPED])
        assert (await owner.ask(*PAUSE, headers=good)).status_code == 200
        assert await who(owner) == f"anybody at {FAR}"
        resume = ("POST", "/queues/default/resume")
        for server in (front, owner):  # both headers come from a front, or it is the client's own request
            assert (await server.ask(*resume, headers=dict([header(*resume)]))).status_code == 200
            assert await who(owner) == "anybody at 127.0.0.1"
            assert (await server.ask(*PAUSE)).status_code == 200

    cluster(test)


@pytest.mark.parametrize(
    "forged",
    [
        [header(*PAUSE, secret=b"guessed"), HOPPED],
        [header("POST", "/queues/default/peek"), HOPPED],  # of another request
        [header(*PAUSE), header(*PAUSE), HOPPED],
        [(origin.ORIGIN, b""), HOPPED],
        [HOPPED],
        [(origin.ORIGIN, b"1 1.1 http 0 1 " + FAR.encode()), HOPPED],
        [(origin.ORIGIN, b"\xff \xff"), HOPPED],
        [(b"Dibs-Origin", header(*PAUSE, secret=b"guessed")[1]), (b"DIBS-HOPS", b"1")],
    ],
)
def test_a_forged_origin_says_nothing_and_who_passes_on_without_one_is_refused(cluster, forged):
    async def test(made):
        owner, front = await made.pair()
        for server in (owner, front):
            refused = await server.ask(*PAUSE, headers=forged)
            told = refused.json()
            assert (refused.status_code, told["type"]) == (421, "urn:dibs:problem:misdirected")
            assert (told["handed_out"], told["retryable"]) == ("no", False)
            assert refused.headers["dibs-owner"] == "another"  # by which any front asks elsewhere
        own = [each for each in forged if each[0].lower() != origin.HOPS]
        for server, verb in ((owner, "pause"), (front, "resume")):
            assert (await server.ask("POST", f"/queues/default/{verb}", headers=own)).status_code == 200
            assert await who(owner) == "anybody at 127.0.0.1"
        assert len(owner.context.actions.of(None, 9)) == 2

    cluster(test)


def test_a_hot_call_with_such_headers_is_answered_by_the_same_rules(cluster):
    async def test(made):
        owner, _ = await made.pair()
        for headers in (dict([header("POST", "/next"), HOPPED]), {"Dibs-Origin": "x"}):
            assert (await owner.ask("POST", "/next", headers=headers)).status_code == 200
        assert (await owner.ask("POST", "/next", headers={"Dibs-Hops": "1"})).status_code == 421
        refused = dict([header("POST", "/next", exposed=True), HOPPED])
        assert (await owner.ask("POST", "/next", headers=refused)).status_code == 403
        assert not any(b"ibs-" in head for head in owner.lane.heads.known if owner.lane.heads.known[head])

    cluster(test)


def test_what_was_passed_on_once_is_not_passed_on_again(cluster):
    async def test(made):
        owner, front = await made.pair()
        refused = await front.ask("POST", "/next", headers=dict([header("POST", "/next"), HOPPED]))
        problem = refused.json()
        assert (refused.status_code, problem["type"]) == (503, "urn:dibs:problem:not-owner")
        assert (problem["handed_out"], problem["retryable"]) == ("no", True)
        assert refused.headers["retry-after"] == "1"
        assert (await owner.ask("POST", "/next")).json()["seq"] == 1

    cluster(test)


def test_fronts_that_take_each_other_for_the_owner_make_no_circle(cluster, monkeypatch):
    monkeypatch.setattr("dibs.cluster.passage.PATIENCE", 0.3)

    async def test(made):
        await made.add("a", owns=True)
        b, c = await made.add("b"), await made.add("c")
        made.shared.owner = Owner(7, "somebody", c.url)
        b.seat.tell()
        refused = await b.ask("POST", "/next")
        assert refused.json()["type"] in {"urn:dibs:problem:no-owner", "urn:dibs:problem:not-owner"}
        assert refused.json()["handed_out"] == "no"
        assert (await b.ask("GET", "/readyz")).status_code == 503

    cluster(test)


def test_a_front_that_others_reach_lets_nobody_in_without_a_token(cluster):
    async def test(made):
        owner = await made.add("a", owns=True)
        front = await made.add("b", host="0.0.0.0")
        refused = await front.ask("POST", "/next")
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:dibs:problem:forbidden")
        token = (await owner.ask("POST", "/tokens", json={"roles": ["admin"]})).json()["token"]
        let_in = await front.ask("POST", "/next", headers={"Authorization": f"Bearer {token}"})
        assert let_in.json()["seq"] == 1
        assert (await front.ask("POST", "/next")).status_code == 401

    cluster(test)


def test_a_front_that_says_that_it_is_open_passes_everybody_on(cluster):
    async def test(made):
        await made.add("a", owns=True)
        front = await made.add("b", host="0.0.0.0", allow_anonymous=True)
        assert (await front.ask("POST", "/next")).status_code == 200

    cluster(test)


def test_a_front_refuses_hosts_that_are_not_its_own(cluster):
    """A name that was pointed at it (DNS rebinding) gets no further than it would at a server alone."""

    async def test(made):
        await made.add("a", owns=True, host="0.0.0.0", allow_anonymous=True)
        front = await made.add("b")
        refused = await front.ask("POST", "/next", headers={"Host": "evil.example"})
        assert refused.status_code == 403
        assert (await front.ask("POST", "/next")).json()["seq"] == 1

    cluster(test)


def test_an_owner_asks_whether_it_still_owns_where_it_has_not_heard_for_a_while(cluster):
    async def test(made):
        owner, _front = await made.pair()
        term = owner.seat.term
        assert (await owner.ask("GET", "/queues")).status_code == 200
        assert term.asked == 0
        term.doubt = True
        assert (await owner.ask("GET", "/queues")).status_code == 200
        assert term.asked == 1

    cluster(test)


def test_a_term_is_asked_once_for_the_calls_of_a_turn_of_the_loop_and_anew_for_many(cluster):
    async def test(made):
        owner, _front = await made.pair()
        lane, term = owner.lane, owner.seat.term
        looks = []
        term.trusted = lambda: looks.append(0) or not term.doubt
        assert [lane.doubts() for _ in range(1 + SPARED)] == [False] * (1 + SPARED)
        assert len(looks) == 1
        term.doubt = True  # the next one of the same turn asks
        assert [lane.doubts(), lane.doubts(), len(looks)] == [True, True, 3]
        term.doubt = False
        assert [lane.doubts(), lane.doubts(), len(looks)] == [False, False, 4]
        term.doubt = True
        assert [lane.doubts(), lane.doubts_now(), len(looks)] == [False, True, 5]  # those of a front ask
        await asyncio.sleep(0)
        assert [lane.doubts(), len(looks)] == [True, 6]
        assert (await owner.ask("POST", "/next")).json()["seq"] == 1
        assert term.asked == 1

    cluster(test)


def test_what_a_front_passes_on_is_never_answered_by_the_trust_of_a_call_before_it(cluster):
    """A process that was stopped in the middle of a turn reads what came while another server owned."""

    async def test(made):
        owner, front = await made.pair()
        term = owner.seat.term
        before = (await front.ask("POST", "/next")).json()["seq"]
        owner.lane._trust_no_more = lambda: None  # the turn goes on
        assert not owner.lane.doubts()  # for a call of its own HTTP
        term.doubt = True
        asked = term.asked
        assert (await front.ask("POST", "/next")).json()["seq"] == before + 1
        assert term.asked == asked + 1

    cluster(test)


@pytest.mark.parametrize("before", [None, Owner(7, "gone", "http://127.0.0.1:9")])
def test_who_can_not_take_over_says_so_at_its_start(cluster, before):
    """Whoever owned before, and is gone."""

    async def test(made):
        made.shared.owner, made.shared.silent = before, 60.0
        made.shared.tokens = [], 0
        with pytest.raises(ConfigError, match="there is no token") as told:
            await made.add("a", host="0.0.0.0")
        assert "secret@" not in str(told.value)
        del made.servers["a"]
        assert made.shared.term == 0

    cluster(test)


def test_a_server_that_lets_nobody_in_says_so_and_stands_once_there_is_a_token(
    cluster, caplog, until, monkeypatch
):
    monkeypatch.setattr("dibs.cluster.seat.AGAIN", (0.001,))

    async def test(made):
        owner = await made.add("a", owns=True)
        b = await made.add("b", host="0.0.0.0")
        await until(lambda: "lets nobody in, and can't own the ledger" in caplog.text)
        told = [line for line in caplog.messages if "lets nobody in" in line]
        assert len(told) == 1
        assert "there is no token" in told[0]
        assert made.shared.notes["b"] == told[0]
        assert (await b.ask("GET", "/healthz")).status_code == 200
        assert not made.shared.stands("b")
        await owner.ask("POST", "/tokens", json={"roles": ["admin"]})
        await until(lambda: made.shared.stands("b") and made.shared.notes["b"] == "")
        await made.hand_over("b")
        assert made.shared.term == 2

    caplog.set_level(logging.WARNING)
    cluster(test)


def test_a_token_that_comes_just_when_that_is_told_is_seen(cluster, until, monkeypatch):
    monkeypatch.setattr("dibs.cluster.seat.AGAIN", (0.001,))
    begin, refused = seat.Seat.begin, []

    async def begins(self, url):
        check = self._check

        async def then_a_token():
            try:
                await check()
            except ConfigError:
                refused.append(url)
                if len(refused) == 2:  # the first one lets it begin beside the owner
                    await owner.ask("POST", "/tokens", json={"roles": ["admin"]})
                raise

        self._check = then_a_token
        await begin(self, url)

    monkeypatch.setattr(seat.Seat, "begin", begins)

    async def test(made):
        nonlocal owner
        owner = await made.add("a", owns=True)
        await made.add("b", host="0.0.0.0")
        await until(lambda: len(refused) >= 2 and made.shared.stands("b") and made.shared.notes["b"] == "")

    owner = None
    cluster(test)


class Pauses(tuple):
    """The pauses of a seat, which are over at once; ``asked`` has those that were made."""

    asked = ()

    def __getitem__(self, no):
        self.asked += (super().__getitem__(no),)
        return 0.001


def test_who_can_not_take_over_later_leaves_it_to_others_for_longer_and_longer(
    cluster, caplog, until, monkeypatch
):
    pauses = Pauses(seat.AGAIN)
    monkeypatch.setattr(seat, "AGAIN", pauses)

    async def test(made):
        await made.add("a", owns=True)
        b = await made.add("b")
        takes = b.seat._take

        async def fails(term):
            await takes(term)
            raise ConfigError("the source is lost")

        b.seat._take = fails
        made.shared.take()
        for _ in range(5):
            await until(lambda: made.shared.holder is None and made.shared.stands("b"))
            made.shared.give("b")
        await until(lambda: len(pauses.asked) == 5)
        assert pauses.asked == (1.0, 2.0, 5.0, 10.0, 10.0)
        assert caplog.messages.count("this server could not take over: the source is lost") == 1
        assert b.seat.role == "front"
        assert (await b.ask("GET", "/healthz")).status_code == 200
        b.seat._take = takes
        await until(lambda: made.shared.stands("b"))
        made.shared.give("b")
        await until(b.seat.owns)
        b.seat._take = fails
        made.shared.take()
        await until(lambda: made.shared.holder is None and made.shared.stands("b"))
        made.shared.give("b")
        await until(lambda: len(pauses.asked) == 6)
        assert pauses.asked[5] == 1.0

    caplog.set_level(logging.WARNING)
    cluster(test)


def test_an_owner_that_goes_down_lets_the_next_one_own(cluster, until):
    async def test(made):
        a, b = await made.pair()
        asking = asyncio.ensure_future(b.ask("POST", "/next?wait=5"))
        await asking
        made.shared.give("b")
        a.context.stop()
        await until(b.seat.owns)
        assert (await b.ask("POST", "/next")).json()["seq"] == 2
        assert a.seat.role == "front"

    cluster(test)


def test_servers_under_tls_verify_each_other_by_their_certificate(cluster, certificate):
    async def test(made):
        owner, front = await made.pair(tls_cert=certificate)
        assert made.shared.owner.url.startswith("https://127.0.0.1:")
        for path in ("/next", "/queues/default/pause"):
            answer = await front.ask("POST", path, headers={"Host": "localhost"})
            assert answer.status_code == 200, answer.text
        assert (await front.ask("GET", "/readyz")).status_code == 200
        assert owner.context.queues.get("default").browser.info().cursor == 1

    cluster(test)


def test_an_owner_whose_certificate_is_another_is_not_reached(cluster, certificate, tmp_path, monkeypatch):
    monkeypatch.setattr("dibs.cluster.passage.PATIENCE", 0.2)
    other = trustme.CA().issue_cert("127.0.0.1")
    other.private_key_and_cert_chain_pem.write_to_path(tmp_path / "other.pem")

    async def test(made):
        await made.add("a", owns=True, tls_cert=certificate)
        front = await made.add("b", tls_cert=tmp_path / "other.pem")
        refused = await front.ask("GET", "/queues")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:dibs:problem:no-owner")
        assert (await front.ask("GET", "/readyz")).status_code == 503

    cluster(test)
