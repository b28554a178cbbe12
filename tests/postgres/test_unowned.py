"""Commands on a ledger that no server owns: they write in a term of their own, or say whom to ask."""

import asyncio
import re

import pytest
import typer

psycopg = pytest.importorskip("psycopg")

from dibs.cli import token
from dibs.errors import LedgerLocked, LedgerLost
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.sharing import SharedLedger


def member(url):
    return SharedLedger(url, version="1.0", owner_timeout=4)


def names(data):
    return [(each["name"], each["state"]) for each in token._listed(data)]


def test_tokens_are_made_listed_and_revoked_without_a_server(database):
    made = token._offline(database.url, ["admin:*"], "ann", None)
    other = token._offline(database.url, ["read:jobs"], "bob", 3600.0)
    assert re.fullmatch(r"dibs_[0-9a-f]{10}_[\w-]{43}", made["token"])
    assert names(database.url) == [("ann", "valid"), ("bob", "valid")]
    assert token._revoked(database.url, other["id"])["state"] == "revoked"
    assert names(database.url) == [("ann", "valid"), ("bob", "revoked")]
    terms = database.do("SELECT term, address FROM dibs.term ORDER BY term")
    assert terms == [(1, ""), (2, ""), (3, "")]

    async def served():
        server = member(database.url)
        await server.open("http://127.0.0.1:1", lambda: None)
        async with asyncio.timeout(60):
            while server.survey() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        before = server.owner()
        term = await server.stand()
        found = [(each.name, each.digest) for each in term.engine.access_tokens()]
        await term.resign()
        await server.close()
        return before, term.number, found

    before, number, found = asyncio.run(served())
    assert (before, number) == (None, 4)  # nobody takes a command for a server
    assert [name for name, _ in found] == ["ann", "bob"]


def test_the_ledger_of_a_server_is_its_own_and_its_tokens_may_be_read(database):
    async def served(test):
        server = member(database.url)
        await server.open("http://10.0.0.7:8000", lambda: None)
        term = await server.stand()
        try:
            return await asyncio.to_thread(test)
        finally:
            await term.resign()
            await server.close()

    def test():
        assert token._listed(database.url) == []
        with pytest.raises(LedgerLocked) as refused:
            token._offline(database.url, ["admin:*"], None, None)
        return str(refused.value)

    told = asyncio.run(served(test))
    assert "is owned by the server at http://10.0.0.7:8000: ask that, or any other server of it, by" in told
    assert told.endswith("--url http://10.0.0.7:8000")
    assert database.do("SELECT count(*) FROM dibs.term") == [(1,)]


def test_the_first_token_is_an_admins_and_one_that_is_refused_makes_no_ledger(database, capsys):
    def refused():
        with pytest.raises(typer.Exit) as ended:
            token._offline(database.url, ["read:*"], "bob", None)
        return ended.value.exit_code, capsys.readouterr().err

    told = "the first token of a ledger is an admin's, for all queues: else nobody could make others"
    code, said = refused()
    assert (code, told in " ".join(said.split())) == (2, True)
    assert database.do("SELECT to_regclass('dibs.ledger')") == [(None,)]
    Ledger(database.url).make()
    assert refused()[0] == 2
    assert database.do("SELECT count(*) FROM dibs.term") == [(0,)]
    first = token._offline(database.url, ["admin:*"], "ann", None)
    token._revoked(database.url, first["id"])
    token._offline(database.url, ["read:*"], "bob", None)  # over HTTP, too, it is the first one alone


def test_to_look_at_a_ledger_makes_none(database, capsys):
    for look in (lambda: token._listed(database.url), lambda: token._revoked(database.url, "0123456789")):
        with pytest.raises(typer.Exit) as ended:
            look()
        assert ended.value.exit_code == 2
        assert "there is no ledger in it" in capsys.readouterr().err
    assert database.do("SELECT to_regclass('dibs.ledger')") == [(None,)]


def test_a_ledger_that_has_lost_something_is_not_written(database):
    token._offline(database.url, ["admin:*"], "ann", None)
    database.do("INSERT INTO dibs.loss (term, n, found) VALUES (1, 1300, 1)")
    with pytest.raises(LedgerLost, match="dibs recover"):
        token._offline(database.url, ["read:*"], None, None)
    assert database.do("SELECT max(term) FROM dibs.term") == [(1,)]
