"""Serve: keys of single requests."""

from __future__ import annotations

import apsw
import pytest
from asks import LENGTH, block, lease, seqs, settle, take, verdicts
from dibs.ledger.ops import Close, Delete, Pause
from dibs.ledger.serve import Handed, Key, Serve, Served
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import (
    Ack,
    Nack,
    QueueSettings,
    Span,
)

from .conftest import K, ask

# -- single requests


@pytest.mark.parametrize("want", [take(3, K), lease("t", 3, K), block(3, K)])
def test_a_known_key_gives_its_filed_answer_and_nothing_more(ledger, count, want):
    [first] = ask(ledger, count, want)
    assert (seqs(first), first.replayed, first.handed.fresh) == ([1, 2, 3], False, True)
    ledger.time.pass_(40_000)
    [again] = ask(ledger, count, want)
    filed = first.handed._replace(fresh=False, source=("count", "{}"))
    assert again == first._replace(handed=filed, replayed=True)
    assert ledger.engine.row(count).cursor == 3


def test_waiting_items_are_filed_with_their_attempts(ledger):
    queue = ledger.jobs("1", "2", "3", "4")
    ledger.round(queue, lease("t", 2, ttl=1_000))
    ledger.round(queue, settle(Nack("t", ((1, 1),), 1)))
    ledger.time.pass_(1_000)
    now = ledger.engine.now()
    [first] = ledger.round(queue, lease("u", 9, K))
    assert first.handed == Handed((Span(3, 4, 1), Span(1, 1, 2)), ("3", "4", "1"), "u", now + 30_000)
    assert ledger.round(queue, lease("u", 9, K)) == (first._replace(replayed=True),)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Key("k", "e"), "key-reused"),
        (Key("k", "d", 1), "key-reused"),
        (Key("k", "d", caller="bo"), None),
        (Key("l", "d"), None),
    ],
)
def test_a_key_is_one_request_of_one_caller(ledger, count, other, why):
    for together in (False, True):
        name = f"k{together}"
        mine, his = take(1, K._replace(text=name)), take(1, other._replace(text=other.text + name[1:]))
        if together:
            served = ask(ledger, count, mine, his)[1]
        else:
            ask(ledger, count, mine)
            [served] = ask(ledger, count, his)
        assert (served.why, seqs(served) is None) == (why, why is not None)


def test_of_two_with_one_key_in_a_batch_the_second_gets_the_answer_of_the_first(ledger, count):
    first, second, third = ask(ledger, count, lease("t", 2, K), lease("t", 2, K), take())
    filed = first.handed._replace(fresh=False, source=("count", "{}"))
    assert second == first._replace(handed=filed, replayed=True)
    assert (seqs(first), seqs(third)) == ([1, 2], [3])
    assert ask(ledger, count, lease("t", 2, K)) == (second,)


def test_an_answer_that_changed_nothing_is_not_kept(ledger):
    queue = ledger.jobs()
    both = ledger.round(queue, take(1, K), take(1, K))
    assert both == (Served(why="empty"),) * 2
    ledger.push(queue, "1")
    [first] = ledger.round(queue, take(1, K))  # the request runs again
    assert (seqs(first), first.replayed) == ([1], False)
    assert ledger.round(queue, take(1, K))[0].replayed


def test_stale_entries_alone_are_not_kept_and_an_ack_is(ledger, count):
    [stale] = ask(ledger, count, settle(Ack("t"), key=K))
    assert (verdicts(stale), stale.replayed) == (["stale"], False)
    ask(ledger, count, lease("t"))
    [acked] = ask(ledger, count, settle(Ack("t"), key=K))
    [again] = ask(ledger, count, settle(Ack("t"), key=K))
    assert (verdicts(acked), again) == (["acked"], acked._replace(replayed=True))


def test_an_expired_key_counts_as_unknown_and_its_row_is_replaced(ledger, count):
    ask(ledger, count, take(1, K), key_ttl=1_000)
    ledger.time.pass_(999)
    assert ask(ledger, count, take(1, K))[0].replayed
    ledger.time.pass_(1)
    assert seqs(ask(ledger, count, take(1, Key("k", "e")))[0]) == [2]
    [again] = ask(ledger, count, take(1, Key("k", "e")))
    assert (seqs(again), again.replayed) == ([2], True)


def test_the_setting_of_a_queue_says_how_long_its_answers_are_kept(ledger):
    queue = ledger.define(settings=QueueSettings(key_ttl=1_000)).id
    ask(ledger, queue, take(1, K))
    ledger.time.pass_(1_000)
    assert seqs(ask(ledger, queue, take(1, K))[0]) == [2]


def test_keys_are_known_of_a_deleted_queue_too_and_belong_to_the_generation(ledger, count):
    ask(ledger, count, take(1, K))
    ledger.do(Delete(count))
    known, other = ask(ledger, count, take(1, K), take(1, Key("l", "d")))
    assert (seqs(known), known.replayed, other.why) == ([1], True, "deleted")
    assert ask(ledger, ledger.define().id, take(1, K))[0].replayed
    reset = ledger.define(reset=True).id
    assert seqs(ask(ledger, reset, take(1, K))[0]) == [1]
    assert ledger.engine.row(reset).taken == 1


def test_a_known_key_is_answered_while_a_queue_is_paused_or_ended(ledger, count):
    ask(ledger, count, take(1, K))
    ledger.do(Pause(count, True))
    assert ask(ledger, count, take(1, K))[0].replayed
    ledger.do(Close(count))
    assert ask(ledger, count, take(1, K))[0].replayed


def test_a_damaged_answer_is_refused_and_stays(folder):
    engine = SqliteEngine(folder)
    serve = Serve(1, 1, (take(1, K), take(1, Key("l", "d"))), length=LENGTH)
    engine.apply([serve])
    engine.close()
    with apsw.Connection(str(folder / "dibs.db")) as file:
        file.execute("UPDATE answer SET outcome = replace(outcome, '4', '3') WHERE key = 'k'")
    file.close()
    engine = SqliteEngine(folder)
    [(bad, good)] = engine.apply([serve]).outcomes
    assert (bad, good.replayed) == (Served(why="damaged"), True)
    assert engine.row(1).cursor == 5
    engine.close()
