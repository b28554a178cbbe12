"""What servers see of each other and of their database, by real ones."""

import asyncio
from contextlib import asynccontextmanager
from functools import wraps

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.postgres import watching
from dibs.ledger.postgres.sharing import SharedLedger


def on_a_loop(test):
    @wraps(test)
    def run(**fixtures):
        asyncio.run(test(**fixtures))

    return run


@asynccontextmanager
async def member(url, port):
    """A server's part in the ledger; it does not stand."""
    ledger = SharedLedger(url, version=f"1.{port}", owner_timeout=4)
    await ledger.open(f"http://127.0.0.1:{port}", lambda: None)
    try:
        yield ledger
    finally:
        await ledger.close()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # it is another thread that looks
            await asyncio.sleep(0.02)


async def surveyed(ledger, holds=lambda found: True):
    await until(lambda: ledger.survey() is not None and holds(ledger.survey()))
    return ledger.survey()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(watching, "SEEN_EVERY", 0.05)
    monkeypatch.setattr(watching, "AROUND_EVERY", 0.05)


@on_a_loop
async def test_each_server_sees_who_is_there_who_owns_and_how_far_that_is(database):
    async with member(database.url, 1) as one, member(database.url, 2) as two:
        found = await surveyed(one, lambda found: len(found.peers) == 2)
        assert (found.position, found.term, found.owner, found.takeovers) == (0, 0, None, 0)
        assert [(peer.url, peer.version, peer.note) for peer in found.peers] == [
            ("http://127.0.0.1:1", "1.1", ""),
            ("http://127.0.0.1:2", "1.2", ""),
        ]
        assert (found.standbys, found.standbys_needed, found.warnings) == (0, 0, ())
        term = await two.stand()
        found = await surveyed(one, lambda found: found.term == 1 and found.takeovers == 1)
        assert found.owner == "http://127.0.0.1:2"
        assert found.position >= 1
        assert found.silent < 30
        assert found.lasts < 60
        before = found.position
        await asyncio.to_thread(term.engine.keep_time)
        await surveyed(one, lambda found: found.position > before)
        await term.resign()
        term = await one.stand()
        found = await surveyed(two, lambda found: found.takeovers == 2)
        assert (found.term, found.owner) == (2, "http://127.0.0.1:1")
        await term.resign()


@on_a_loop
async def test_a_server_that_leaves_is_listed_no_more(database):
    async with member(database.url, 1) as one:
        async with member(database.url, 2):
            await surveyed(one, lambda found: len(found.peers) == 2)
        await surveyed(one, lambda found: len(found.peers) == 1)


@on_a_loop
async def test_a_server_that_can_t_own_says_why_until_it_can(database):
    async with member(database.url, 1) as one, member(database.url, 2) as two:
        one.note("no module \0named\n" + "x" * 600)
        noted = await surveyed(two, lambda found: any(peer.note for peer in found.peers))
        [note] = [peer.note for peer in noted.peers if peer.note]
        assert note.startswith("no module \\x00named\\n") or note.startswith("no module \\x00named")
        assert len(note) == watching.NOTE_MOST
        assert database.do("SELECT count(*) FROM dibs.server WHERE note <> ''") == [(1,)]
        one.note("")
        await surveyed(two, lambda found: not any(peer.note for peer in found.peers))


@on_a_loop
async def test_tokens_are_read_without_an_owner_and_stay_known_without_a_database(clusters):
    cluster = clusters.make()
    async with member(cluster.create("d"), 1) as one:
        assert (await one.access_tokens())[0] == []
        cluster.do(
            "INSERT INTO dibs.access_token VALUES"
            " ('b', 'bob'::bytea, sha256('b'), 'read', 'x'::bytea, 2, NULL, NULL),"
            " ('a', 'ann'::bytea, sha256('a'), 'admin', 'x'::bytea, 1, 9, NULL)",
            database="d",
        )
        one._tokens._read_at = 0.0
        tokens, now = await one.access_tokens()
        assert [(token.id, token.name, token.grants, token.expires) for token in tokens] == [
            ("a", "ann", "admin", 9),
            ("b", "bob", "read", None),
        ]
        assert now == 0
        cluster.kill()
        one._tokens._read_at = 0.0
        assert (await one.access_tokens())[0] == tokens


@on_a_loop
async def test_while_a_standby_is_missing_that_is_seen_and_servers_are_still_noted(pair):
    async with member(pair.create("d"), 1) as one:
        found = await surveyed(one, lambda found: found.standbys == 1)
        assert found.standbys_needed == 1
        assert "when one is gone, nothing is answered" in found.warnings[0]
        pair.standby.kill()
        found = await surveyed(one, lambda found: found.standbys == 0)
        assert found.standbys_needed == 1
        assert "nothing is answered until that has changed. Start the standby" in found.warnings[0]
        one.note("still here")  # its row is written, though no commit with a standby comes through
        await surveyed(one, lambda found: any(peer.note == "still here" for peer in found.peers))


@on_a_loop
async def test_who_holds_vacuum_back_is_seen(database):
    async with member(database.url, 1) as one:
        with database.connect() as holder, database.connect() as writer:
            holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT count(*) FROM dibs.position")
            for _ in range(50):
                writer.execute("SELECT pg_current_xact_id()")
            assert (await surveyed(one, lambda found: found.held >= 50)).held < 10_000


@on_a_loop
async def test_what_is_not_well_with_a_server_is_seen_by_all_until_it_is_over(database):
    async with member(database.url, 1) as one, member(database.url, 2) as two:
        one.tell(("no way\0to the owner", "x" * 600))
        found = await surveyed(two, lambda found: any(peer.troubles for peer in found.peers))
        assert [peer.troubles for peer in found.peers] == [
            ("no way\\x00to the owner", "x" * watching.NOTE_MOST),
            (),
        ]
        one.tell(())
        await surveyed(two, lambda found: not any(peer.troubles for peer in found.peers))


@on_a_loop
async def test_two_servers_at_one_address_say_so_until_one_of_them_has_gone(database, caplog):
    async with member(database.url, 1) as one:
        async with member(database.url, 1):
            found = await surveyed(one, lambda found: [peer.troubles for peer in found.peers] == TWINS)
            assert {peer.url for peer in found.peers} == {"http://127.0.0.1:1"}
        await surveyed(one, lambda found: [peer.troubles for peer in found.peers] == [()])
    told = [each.getMessage() for each in caplog.records if "another server says" in each.getMessage()]
    assert told == [f"this server is at http://127.0.0.1:1, and {watching.TWIN}"] * 2


TWINS = [(watching.TWIN,)] * 2


@on_a_loop
async def test_a_server_that_was_killed_is_no_twin_of_the_one_in_its_place(database):
    async with member(database.url, 2) as other:
        database.do(
            "INSERT INTO dibs.server (id, address, version) VALUES"
            " (gen_random_uuid(), 'http://127.0.0.1:1', '1.1')"
        )
        async with member(database.url, 1) as one:
            me = one.server
            await surveyed(other, lambda found: len(found.peers) == 3)
            [(seen,)] = database.do("SELECT seen FROM dibs.server WHERE id = %s", me)
            later = "SELECT seen > %s FROM dibs.server WHERE id = %s"
            await until(lambda: database.do(later, seen, me) == [(True,)])
            await until(lambda: database.do(later, seen, me) == [(True,)])
            found = await surveyed(other, lambda found: len(found.peers) == 3)
            assert [peer.troubles for peer in found.peers] == [()] * 3
