"""The queues of several servers' configurations: each is applied once, and no takeover undoes another."""

import asyncio
import logging

import pytest
from dibs.cluster import errand
from dibs.cluster.configurations import Brought, Configurations
from dibs.cluster.origin import HOPS, Origin
from dibs.config_queues import definitions
from dibs.ledger.terms import Configuration

DATA = "postgresql://nobody:secret@nowhere/none"
ADMIN = "a-secret-of-an-admin-that-is-long-enough"
SECRET = b"0123456789abcdef"
PATH = "/internal/configuration"


def tries(most):
    return {"jobs": {"source": "", "max_attempts": most}}


async def most(server):
    return (await server.ask("GET", "/queues/jobs")).json()["settings"]["max_attempts"]


async def names(server):
    return [queue["queue"] for queue in (await server.ask("GET", "/queues")).json()["queues"]]


async def configured(server, queue):
    return (await server.ask("GET", f"/queues/{queue}")).json()["configured"]


def test_servers_with_different_files_undo_nothing_at_takeovers(cluster):
    async def test(made):
        a = await made.add("a", owns=True, queues=tries(3) | {"ids": "count"})
        assert await most(a) == 3
        b = await made.add("b", queues=tries(5) | {"other": "count(start=7)"})
        for owner in "bab":
            assert await most(a) == await most(b) == 5
            assert await names(b) == ["ids", "jobs", "other"]
            for queue in ("ids", "jobs", "other"):
                assert await configured(a, queue) == "file"
            await made.hand_over(owner)

    cluster(test)


def test_what_was_changed_meanwhile_outlives_a_start_with_the_same_file(cluster):
    async def test(made):
        a = await made.add("a", owns=True, queues=tries(3))
        await made.add("b", queues=tries(5))
        await a.ask("PUT", "/queues/jobs", json={"settings": {"max_attempts": 8}})
        await made.again("b", queues=tries(5))
        assert await most(a) == 8
        await made.add("c", queues=tries(5))  # what was applied last, by whomever
        assert await most(a) == 8
        await made.again("b", queues=tries(6))
        assert await most(a) == 6
        await made.again("b", queues=tries(5))  # and back
        assert await most(a) == 5

    cluster(test)


def test_a_queue_that_no_configuration_has_any_more_is_told(cluster):
    async def test(made):
        a = await made.add("a", owns=True, queues={"ids": "count"})
        await made.add("b", queues={"ids": "count", "only": "count"})
        assert await configured(a, "only") == "file"
        await made.again("b")
        assert await configured(a, "only") == "gone"
        assert await configured(a, "ids") == "file"

    cluster(test)


def test_without_queues_a_server_makes_one_only_where_there_never_was_any(cluster):
    async def test(made):
        a = await made.add("a", owns=True)
        assert await names(a) == ["default"]
        assert await configured(a, "default") == "file"
        await a.ask("DELETE", "/queues/default?confirm=default")
        await made.add("b")
        await made.hand_over("b")
        assert await names(a) == []
        await made.again("a")
        assert await names(made.servers["b"]) == []

    cluster(test)


def test_a_server_without_queues_joins_one_that_has_some(cluster):
    async def test(made):
        a = await made.add("a", owns=True, queues={"ids": "count"})
        await made.add("b")
        await made.hand_over("b")
        assert await names(a) == ["ids"]

    cluster(test)


def test_what_the_owner_refuses_is_brought_to_the_next_one(cluster, tmp_path, caplog):
    file = tmp_path / "lines"

    async def test(made):
        a = await made.add("a", owns=True, queues={"ids": "count"})
        b = await made.add("b", queues={"ids": "count", "text": f"lines({file})"})
        assert await names(b) == ["ids"]
        [told] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "the queues of this server's configuration were not applied" in told.getMessage()
        assert str(file) in told.getMessage()
        file.write_text("one\n")
        await made.hand_over("b")  # it brings it to itself, without failing the queue
        while await names(a) != ["ids", "text"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        answer = await a.ask("POST", "/queues/text/next")
        assert answer.json()["value"] == "one"

    cluster(test)


@pytest.mark.parametrize("way", ["POST", "SIGHUP"])
def test_a_reload_at_a_front_reads_its_own_file(cluster, tmp_path, way):
    file = tmp_path / "dibs.toml"

    def write(text):
        file.write_text(f'data = "{DATA}"\n{text}')

    async def test(made):
        a = await made.add("a", owns=True, queues=tries(3))
        write("old = 1\n[queues.jobs]\nmax_attempts = 5\n")
        b = await made.add("b", file=file)
        assert await most(a) == 5
        await a.ask("PUT", "/queues/jobs", json={"settings": {"max_attempts": 8}})
        write('old = 2\n[queues]\nmore = "count"\n[queues.jobs]\nmax_attempts = 5\n')
        if way == "POST":
            told = (await b.ask("POST", "/reload")).json()
        else:
            told = await b.context.reloading.run(who=way)
        assert b.context.settings.old == 2
        queues = {name: list(each) for name, each in told["queues"].items()}
        assert queues == {"created": ["more"], "changed": ["jobs"], "gone": [], "unread": []}
        assert await most(a) == 5
        write('[queues]\nmore = "range(3)"\n')
        await a.ask("POST", "/queues/more/next")
        refused = await b.ask("POST", "/reload")
        assert refused.status_code == 409
        assert "more = range" in refused.json()["detail"]
        shown = {
            each["setting"]: each["value"] for each in (await b.ask("GET", "/config")).json()["settings"]
        }
        assert shown["old"] == 2

    cluster(test)


def test_a_front_is_reloaded_and_shown_for_admins_alone(cluster, tmp_path):
    file = tmp_path / "dibs.toml"
    file.write_text(f'data = "{DATA}"\n')

    async def test(made):
        a = await made.add("a", owns=True)
        answer = await a.ask("POST", "/tokens", json={"roles": ["admin"], "expires_in": 3600})
        admin = {"Authorization": f"Bearer {answer.json()['token']}"}
        answer = await a.ask("POST", "/tokens", json={"roles": ["read"], "expires_in": 3600}, headers=admin)
        reader = {"Authorization": f"Bearer {answer.json()['token']}"}
        made.shared.read_tokens()
        b = await made.add("b", file=file)
        for method, path in (("POST", "/reload"), ("GET", "/config")):
            for headers, status in (({}, 401), (reader, 403), (admin, 200)):
                assert (await b.ask(method, path, headers=headers)).status_code == status

    cluster(test)


SCOPE = {"method": "POST", "path": PATH, "query_string": b""}


def test_nobody_but_a_server_of_the_ledger_brings_a_configuration(cluster):
    body = b'{"address":"x","queues":{"mine":{"kept":false,"source":"count","settings":{}}},"names":[]}'

    async def test(made):
        a, b = await made.pair()
        term = made.shared.term
        forged = [errand.proof_of(*each) for each in ((b"guessed", term, body), (SECRET, term + 1, body))]
        other = errand.proof_of(SECRET, term, body + b" ")
        passed = dict([(HOPS, b"1"), Origin(term, "1.1", "http", False, 1, "").header(SECRET, SCOPE)])
        proofs = [{b"dibs-proof": proof} for proof in (b"", b"x y", "ü".encode(), *forged, other)]
        for server, status in ((a, 404), (b, 503)):
            assert (await server.ask("POST", PATH, content=body)).status_code == status
            for headers in ({}, *proofs):
                for hopped, refused in ((passed, 503), ({HOPS: b"1"}, 421)):
                    answer = await server.ask("POST", PATH, content=body, headers=hopped | headers)
                    assert answer.status_code == refused
        assert await names(a) == ["default"]

    cluster(test)


class Kept:
    """A ledger that keeps configurations, and nothing else."""

    def __init__(self, *known):
        self.known = {one.address: one for one in known}

    async def configurations(self):
        return list(self.known.values())

    async def keep(self, one):
        self.known[one.address] = one


class Applied:
    """Queues that note what is applied."""

    def __init__(self):
        self.told = []

    async def reconfigure(self, wanted, wrong, *, others):
        self.told.append((sorted(wanted), sorted(others)))


def test_what_was_applied_last_is_applied_once():
    """By the same server, or by any; what was applied before that is applied again."""
    one, two = definitions({"one": "count"}), definitions({"two": "count"})

    def bring(address, queues):
        return Brought(address, queues, tuple(queues))

    async def test():
        kept, applied = Kept(), Applied()
        found = await Configurations.of(kept)
        for address, queues in [("a", one), ("b", two), ("a", one), ("c", two), ("b", one), ("b", two)]:
            await found.apply(applied, bring(address, queues))
        await found.apply(applied, bring("a", one)._replace(anew=True))
        assert [names for names, _ in applied.told] == [["one"], ["two"], ["one"], ["two"], ["one"]]
        assert applied.told[1][1] == ["one", "two"]
        again = await Configurations.of(kept)
        assert not again.has(bring("c", one)._replace(queues=definitions({"one": "count(start=2)"})))
        assert again.has(bring("d", one))
        assert again.names(without="a") == {"two"}

    asyncio.run(test())


def test_two_that_differ_in_anything_have_different_digests():
    seen = {
        Brought("a", definitions({"q": each}), ("q",)).digest
        for each in ("", "count", "count(start=2)", {"max_attempts": 3}, {"source": "", "max_attempts": 3})
    }
    assert len(seen) == 5
    assert Configuration("a", "", (), 0).queues == ()
