"""One request, until it is answered: keys, patience, back-off, and answers of strangers."""

import json

import pytest
from dibs.client import (
    Conflict,
    Exhausted,
    Invalid,
    Item,
    LeaseAsk,
    LimitExceeded,
    QueueUnknown,
    ServerRefused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from dibs.client.calls import claim, take
from dibs.client.flow import Call, Contact, Lost, Reply, Request, Send, Sleep, Tempo, Terms
from dibs.client.keys import Key
from dibs.client.persist import persist


class Talk:
    """Drives ``persist`` with answers that are given; keeps what it sent and how long it waited."""

    def __init__(self, *answers, patience=60.0, chance=1.0, call=None, contact=None, **how):
        self.now = 0.0
        self.sent, self.pauses = [], []
        tempo = Tempo(lambda: self.now, lambda: chance, lambda: "the-key")
        flow = persist(call or take("q", 1, 0.0), Terms(tempo, patience, contact=contact), **how)
        answers, answer = iter(answers), None
        while True:
            try:
                effect = flow.send(answer)
            except StopIteration as end:
                self.result = end.value
                return
            if isinstance(effect, Sleep):
                self.pauses.append(effect.seconds)
                self.now += effect.seconds
                answer = None
            else:
                assert isinstance(effect, Send)
                self.sent.append(effect.request)
                answer = next(answers)


def problem(status, name, *, headers=None, **members):
    body = {"type": f"urn:dibs:problem:{name}", "status": status, "detail": "so it is", **members}
    return Reply(status, headers or {}, json.dumps(body).encode())


LOST = Lost(OSError("gone"))
TAKEN = Reply(200, {}, b'{"items":[{"seq":1,"value":"a"}],"more":"later"}')
BUSY = problem(503, "stopping", retryable=True, handed_out="no")


def test_the_same_request_with_the_same_key_until_it_is_answered():
    talk = Talk(LOST, BUSY, LOST, TAKEN)
    assert talk.result == [Item(1, "a")]
    assert {request.key for request in talk.sent} == {Key("the-key", 1)}
    assert len(set(talk.sent)) == 1


MADE = json.dumps(
    {
        **dict.fromkeys(("queue", "state", "created_at"), "2026-01-31T12:00:00.000Z"),
        **dict.fromkeys(("source", "args", "paused", "generation", "cursor", "taken", "acked", "purged")),
        **dict.fromkeys(("jumped", "waiting", "leased", "dead", "failure")),
        "settings": {},
    }
).encode()


@pytest.mark.parametrize(
    ("answers", "ours"),
    [
        ([Reply(201, {}, MADE)], True),
        ([Reply(200, {}, MADE)], False),
        ([LOST, Reply(200, {"idempotent-replayed": "true"}, MADE)], True),  # made, and its answer was lost
    ],
)
def test_a_queue_is_claimed_by_who_made_it(answers, ours):
    assert Talk(*answers, call=claim("q")).result is ours


def test_what_is_no_answer_of_dibs_claims_nothing():
    with pytest.raises(UnexpectedAnswer):
        Talk(Reply(200, {}, b"<html>"), call=claim("q"))


def test_back_off_has_full_jitter_under_a_doubling_bound():
    talk = Talk(*[LOST] * 8, TAKEN)
    assert talk.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert Talk(*[LOST] * 3, TAKEN, chance=0.5).pauses == [0.025, 0.05, 0.1]


@pytest.mark.parametrize(
    "busy",
    [
        problem(503, "stopping", retryable=True, retry_after=7),
        problem(503, "stopping", retryable=True, headers={"retry-after": "7"}),
        problem(507, "ledger-full", retryable=True, retry_after=7),
    ],
)
def test_retry_after_comes_first(busy):
    assert Talk(busy, TAKEN, chance=0.0).pauses == [7.0]


@pytest.mark.parametrize(
    ("status", "name"), [(500, "internal"), (503, "outcome-unknown"), (503, "ledger-unavailable")]
)
def test_whatever_says_that_a_retry_helps(status, name):
    assert Talk(problem(status, name, retryable=True, handed_out="maybe"), TAKEN).result


def test_a_proxy_s_error_is_a_lost_reply():
    assert Talk(Reply(502, {}, b"<html>bad gateway</html>"), TAKEN).result


def test_patience_ends_with_the_last_word():
    with pytest.raises(Unavailable, match="stopping: so it is"):
        Talk(*[BUSY] * 60, patience=20.0)
    with pytest.raises(UnexpectedAnswer, match="502 with"):
        Talk(*[Reply(502, {}, b"?")] * 60, patience=20.0)
    with pytest.raises(Unreachable, match=r"POST /queues/q/next.* was not answered: OSError: gone") as caught:
        Talk(BUSY, *[Lost(OSError("gone"), reached=False)] * 60, patience=20.0)
    assert caught.value.reached
    assert isinstance(caught.value.__cause__, OSError)


def test_a_server_that_was_never_there_is_not_looked_for_long():
    away = Lost(OSError("refused"), reached=False)
    with pytest.raises(Unreachable) as caught:
        Talk(*[away] * 60)
    assert not caught.value.reached
    with pytest.raises(Unreachable):
        Talk(*[away] * 2, patience=0.06)
    contact = Contact()
    Talk(TAKEN, contact=contact)
    assert Talk(*[away] * 20, TAKEN, contact=contact).now > 30  # it was there before: it may come back


def test_five_seconds_for_nobody():
    from dibs.client import Client

    waits = []
    hasty = Tempo(lambda: 1_000 * sum(waits), chance=lambda: 0.0005)  # a second of its clock is a millisecond
    with Client("http://127.0.0.1:1", tempo=hasty) as client:
        client.setup.terms.on_wait = lambda seconds, why: waits.append(seconds)
        with pytest.raises(Unreachable, match="refused"):
            client.queue("x").push([1])
    assert 5 <= 1_000 * sum(waits) < 6


def test_a_retry_is_warned_of_once(caplog):
    Talk(LOST, LOST, BUSY, TAKEN)
    assert [(one.name, one.levelname) for one in caplog.records] == [("dibs.client", "WARNING")]
    assert "OSError: gone" in caplog.text
    caplog.clear()
    paused = problem(503, "paused", retryable=True)
    Talk(paused, paused, TAKEN, endless=frozenset({"paused"}))
    assert not caplog.records


def test_no_patience_is_one_try():
    with pytest.raises(Unreachable):
        Talk(LOST, patience=0.0, chance=0.0)


def test_endless_refusals_are_no_part_of_the_patience():
    paused = problem(503, "paused", retryable=True, retry_after=5)
    talk = Talk(*[paused] * 50, *[BUSY] * 3, TAKEN, patience=10.0, endless=frozenset({"paused"}))
    assert talk.now > 250


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (404, "queue-unknown", QueueUnknown),
        (410, "exhausted", Exhausted),
        (409, "source-changed", Conflict),
        (422, "limit-exceeded", LimitExceeded),
        (422, "invalid", Invalid),
        (409, "a-later-one", Conflict),
        (418, "a-later-one", ServerRefused),
    ],
)
def test_what_no_retry_helps_is_raised_at_once(status, name, kind):
    members = {"field": "count", "limit": 5, "handed_out": "no", "more": 1}
    with pytest.raises(kind) as caught:
        Talk(problem(status, name, retryable=False, **members))
    error = caught.value
    assert type(error) is kind
    assert str(error) == f"{name}: so it is"
    assert (error.field, error.limit, error.handed_out, error.retryable) == ("count", 5, "no", False)
    assert (error.problem.name, error.problem.status, error.problem.members["more"]) == (name, status, 1)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(404, {}, b"<html>not here</html>"),
        Reply(200, {}, b"welcome"),
        Reply(200, {}, b"{}"),
        Reply(200, {}, b"[]"),
        Reply(200, {}, b'{"items":[{"seq":1}]}'),
        Reply(301, {}, b""),
        Reply(204, {}, b"never for a status"),
    ],
)
def test_another_service_at_the_address(answer):
    call = take("q", 1, 0.0) if answer.status != 204 else Call(Request("GET", "/stats"), dict)
    with pytest.raises(UnexpectedAnswer, match="not an answer of dibs"):
        Talk(answer, call=call)


def test_who_wants_to_know_is_told_why_it_waits(both):
    both.wire.server.add("ids", range(10))
    both.wire.faults = lambda number, request: "refused" if number < 3 else None
    told = []
    both.ask(
        lambda client: client.queue("ids").next(), on_wait=lambda seconds, why: told.append((seconds, why))
    )
    assert [why for _, why in told] == ["ConnectError: [Errno 111] Connection refused"] * 2
    assert all(0 <= seconds < 1 for seconds, _ in told)


def test_reads_carry_no_key():
    talk = Talk(Reply(200, {}, b"{}"), call=Call(Request("GET", "/stats"), dict))
    assert talk.sent[0].key is None


def test_a_key_of_one_s_own():
    assert Talk(TAKEN, key=Key("mine")).sent[0].key == Key("mine")


def test_keys_are_uuids_and_differ(both):
    both.wire.server.add("ids", range(10))

    def twice(client):
        return client.queue("ids").take(2)

    both.ask(twice)
    both.ask(twice)
    keys = [request.headers["idempotency-key"] for request in both.wire.sent]
    assert len(set(keys)) == 2
    assert all(len(key) == 36 for key in keys)


def test_taking(both):
    both.wire.server.add("ids", "abcde")
    assert both.ask(lambda client: client.queue("ids").next()) == Item(1, "a")
    assert both.ask(lambda client: client.queue("ids").take(2)) == [Item(2, "b"), Item(3, "c")]
    assert both.ask(lambda client: client.queue("ids").take(9)) == [Item(4, "d"), Item(5, "e")]
    with pytest.raises(Exhausted):
        both.ask(lambda client: client.queue("ids").next())


def test_taking_where_nothing_is(both):
    both.wire.server.add("ids")
    assert both.ask(lambda client: client.queue("ids").next()) is None
    assert both.ask(lambda client: client.queue("ids").take(3)) == []


def test_iterating_takes_one_after_the_other(both):
    queue = both.wire.server.add("ids", "abc")
    both.wire.faults = lambda number, request: "reply" if number == 2 else None
    assert both.ask(iterate) == ["a", "b", "c"]
    assert queue.taken == 3


def iterate(client):
    queue = client.queue("ids")
    if hasattr(queue, "__iter__"):
        return list(queue)

    async def all_of_them():
        return [value async for value in queue]

    return all_of_them()


def test_the_layer_of_single_requests(both):
    from dibs.client import Ack, Nack, Release

    queue = both.wire.server.add("jobs", range(10))
    lease = both.ask(lambda client: client.queue("jobs").claim(LeaseAsk(4, 10.0, worker="w")))
    assert [tuple(item) for item in lease.items] == [(1, 0, 1), (2, 1, 1), (3, 2, 1), (4, 3, 1)]
    assert lease.expires_in == 10.0
    token = lease.token
    entries = [Release(token, [(3, 3)]), Ack(token, [(1, 2)]), Nack(token, [(4, 5)], error="why")]
    settled = both.ask(lambda client: client.queue("jobs").settle(entries, lease=LeaseAsk(1)))
    told = [[(outcome.seqs, outcome.outcome) for outcome in outcomes] for outcomes in settled.outcomes]
    assert told == [[((3, 3), "released")], [((1, 2), "acked")], [((4, 4), "nacked"), ((5, 5), "stale")]]
    assert [item.seq for item in settled.lease.items] == [3]
    assert settled.refusal is None
    assert queue.inside[3].worker == ""


def test_a_settle_tells_why_there_is_no_next_lease(both):
    both.wire.server.add("jobs", range(1))
    lease = both.ask(lambda client: client.queue("jobs").claim())

    def settle(client):
        from dibs.client import Ack

        return client.queue("jobs").settle([Ack(lease.token)], lease=LeaseAsk())

    settled = both.ask(settle)
    assert settled.lease is None
    assert isinstance(settled.refusal, Exhausted)
    assert settled.state == "exhausted"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "nonsense"])
def test_a_url_that_is_none(url):
    from dibs.client import AsyncClient, Client

    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match="say http://HOST:PORT"):
            kind(url)


def test_a_long_poll_has_time_and_a_settle_is_in_a_hurry():
    from dibs.client.wire import Wire

    wire = Wire("http://dibs", 30.0)
    poll = wire.write(Request("POST", "/queues/q/lease", b"{}", wait=20.0), {}).extensions["timeout"]
    assert (poll["connect"], poll["read"]) == (30.0, 50.0)
    settle = wire.write(Request("POST", "/queues/q/settle", b"{}", within=5.0), {}).extensions["timeout"]
    assert (settle["connect"], settle["read"]) == (5.0, 5.0)


def test_the_url_of_the_environment(monkeypatch):
    from dibs.client import Client

    monkeypatch.setenv("DIBS_URL", "http://elsewhere:1234/")
    with Client() as client:
        assert client.url == "http://elsewhere:1234"
    monkeypatch.delenv("DIBS_URL")
    with Client() as client:
        assert client.url == "http://127.0.0.1:8000"
        assert repr(client.queue("x")) == "<RemoteQueue x of http://127.0.0.1:8000>"
