"""Serve: keys of sessions, each with a number."""

from __future__ import annotations

import pytest
from asks import LENGTH, lease, seqs, settle, take
from dibs.ledger.ops import OpFailed
from dibs.ledger.serve import Key, Serve, Served
from dibs.ledger.work import (
    Ack,
)

from .conftest import answers, ask

# -- sessions


def test_the_answer_of_n_takes_the_place_of_the_one_before(ledger, count):
    for n in (1, 2, 7):
        key = Key("s", f"d{n}", n)
        [first] = ask(ledger, count, take(1, key))
        [again] = ask(ledger, count, take(1, key))
        assert (first.replayed, again.replayed, seqs(first) == seqs(again)) == (False, True, True)
    [below] = ask(ledger, count, take(1, Key("s", "d2", 2)))
    assert below == Served(why="key-superseded")
    assert ledger.engine.row(count).cursor == 3


@pytest.mark.parametrize("forget", [False, True])
def test_a_number_is_one_request(ledger, count, forget):
    ask(ledger, count, take(1, Key("s", "d", 4)))
    if forget:
        ledger.engine.reopen()
    for key, why in [
        (Key("s", "e", 4), "key-reused"),
        (Key("s", "d"), "key-reused"),
        (Key("s", "d", 3), "key-superseded"),
        (Key("s", "d", 4), None),
    ]:
        [served] = ask(ledger, count, take(1, key))
        assert (served.why, served.replayed) == (why, why is None)


def test_the_ledger_grows_with_the_sessions_not_with_their_calls(ledger, count):
    for n in range(1, 50):
        ask(ledger, count, *[take(1, Key(s, "d", n)) for s in "abc"])
    assert answers(ledger) == 3


def test_an_answer_of_a_session_lives_a_day_up_to_a_full_hour(ledger, count):
    hour = 3_600_000
    ask(ledger, count, take(1, Key("s", "d", 1)), key_ttl=2**63 - 1)
    ask(ledger, count, take(1, Key("t", "d", 1)), key_ttl=2 * hour)
    rows = {key: expires for _, key, expires in ledger.answers()}
    for key, ttl in (("s", 24 * hour), ("t", 2 * hour)):
        assert rows[key] % hour == 0
        assert 0 <= rows[key] - ledger.engine.now() - ttl < hour
    ledger.time.pass_(3 * hour)
    [anew, kept] = ask(ledger, count, take(1, Key("t", "e", 1)), take(1, Key("s", "d", 1)))
    assert (anew.replayed, kept.replayed) == (False, True)


def test_the_expiry_moves_with_the_hour(ledger, count):
    hour = 3_600_000
    for n in (1, 2, 3):
        ask(ledger, count, take(1, Key("s", "d", n)), key_ttl=2 * hour)
        ledger.time.pass_(90 * 60_000)
    [kept] = ask(ledger, count, take(1, Key("s", "d", 3)))
    assert kept.replayed
    ledger.time.pass_(2 * hour)
    [anew] = ask(ledger, count, take(1, Key("s", "d", 1)))
    assert (seqs(anew), anew.replayed) == ([4], False)


def test_a_later_request_of_a_session_in_a_batch_ends_the_earlier(ledger, count):
    ask(ledger, count, lease("t", 2))
    [old, again, new] = ask(
        ledger,
        count,
        settle(Ack("t"), key=Key("s", "d1", 1), then=take()),
        settle(Ack("t"), key=Key("s", "d1", 1), then=take()),
        take(1, Key("s", "d2", 2)),
    )
    assert (old, again.why) == (Served(why="key-superseded"), "key-superseded")
    assert seqs(new) == [3]
    assert ledger.inside(count) == {1: "leased", 2: "leased"}


def test_a_transaction_that_fails_leaves_no_position_behind(ledger, count):
    serve = Serve(count, 1, (take(1, Key("s", "d", 1)),), length=LENGTH)
    ledger.engine.apply([serve])
    with pytest.raises(OpFailed, match="no engine knows"):
        ledger.engine.apply([serve._replace(asks=(take(1, Key("s", "d", 2)),)), "no op"])
    [served] = ask(ledger, count, take(1, Key("s", "d", 2)))
    assert (seqs(served), served.replayed) == ([2], False)
    [below] = ask(ledger, count, take(1, Key("s", "d", 1)))
    assert below.why == "key-superseded"
