"""What a server tells of why it can't own: as long as that is so, and no longer."""

import asyncio

import pytest
from dibs.cluster import seat
from dibs.errors import ConfigError, LedgerUnavailable


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(seat, "AGAIN", (0.01,))


def failing(server, error):
    """From now on the server fails to take over, until it is told otherwise; the function that tells it."""
    take, fails = server.seat._take, [True]

    async def taking(term):
        if fails:
            await asyncio.to_thread(term.engine.close)
            raise error
        await take(term)

    server.seat._take = taking
    return fails.clear


@pytest.mark.parametrize(
    ("error", "told"),
    [(LedgerUnavailable("the disk is full"), ""), (OSError("no such module"), "no such module")],
)
def test_a_ledger_that_another_server_can_use_is_no_reason_any_more(cluster, until, error, told):
    async def test(made):
        a, b = await made.pair()
        well = failing(b, error)
        made.shared.take()
        await until(lambda: made.shared.holder is None)
        made.shared.give("b")
        await until(lambda: made.shared.notes.get("b"))
        assert made.shared.notes["b"] == f"this server could not take over: {error}"
        await until(lambda: made.shared.stands("a") and made.shared.stands("b"))
        made.shared.give("a")
        await until(a.seat.owns)
        assert made.shared.notes["b"].endswith(told)
        assert bool(made.shared.notes["b"]) == bool(told)
        well()
        await made.hand_over("b")
        assert made.shared.notes["b"] == ""

    cluster(test)


def test_who_could_not_even_stand_says_so_and_stands_again(cluster, until):
    """Whatever it was: a full disk on the way, or a fault of ours."""

    async def test(made):
        stand, failures = made.shared.stand, [OSError("no room for its memory")]

        async def stands(part):
            if part.name == "b" and failures:
                raise failures.pop()
            return await stand(part)

        made.shared.stand = stands
        await made.pair()
        await until(lambda: made.shared.notes.get("b"))
        assert made.shared.notes["b"] == "this server can't own the ledger: no room for its memory"
        await made.hand_over("b")
        assert made.shared.notes["b"] == ""

    cluster(test)


def test_what_is_wrong_with_its_own_access_is_told_until_it_is_mended(cluster, until):
    async def test(made):
        a, b = await made.pair()
        checks, check = [True], b.seat._check
        error = ConfigError("there is no token")

        async def checked():
            if checks:
                raise error
            await check()

        b.seat._check = checked
        failing(b, error)
        made.shared.take()
        await until(lambda: made.shared.holder is None)
        made.shared.give("b")
        await until(lambda: "this server lets nobody in" in made.shared.notes.get("b", ""))
        made.shared.give("a")
        await until(a.seat.owns)
        assert (
            made.shared.notes["b"]
            == "this server lets nobody in, and can't own the ledger: there is no token"
        )
        checks.clear()
        await until(lambda: made.shared.notes["b"] == "")
        await until(lambda: made.shared.stands("b"))

    cluster(test)
