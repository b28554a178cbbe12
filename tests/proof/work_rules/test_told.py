"""Values, attempts, keys, replays and audits are told as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dibs.proof.checker import judge
from dibs.proof.fields import Came
from dibs.proof.records import Note

from .conftest import GIVEN, LOST, MS, REST, found

# -- values, attempts, pushes


def test_another_value_than_was_pushed(work):
    history = work.history(
        work.push(0, 1, [1], values=["x"]),
        work.lease(2, 3, "a", [1], values=["y"]),
        inside=[(1, "leased", 1)],
    )
    assert found(history) == {"wrong-value": 1}


def test_another_value_than_before_where_the_push_has_no_reply(work):
    lost = work.push(0, 1, [1], values=["x"], **LOST)
    one = work.lease(2, 3, "a", [1], values=["x"])
    other = work.lease(2000, 2001, "b", [1], values=["y"], attempt=2)
    assert found(work.history(lost, one, other, inside=[(1, "leased", 2)])) == {"wrong-value": 1}


def test_an_item_that_nobody_pushed(work):
    assert found(work.history(work.lease(2, 3, "a", [1]), inside=[(1, "leased", 1)])) == {"phantom": 1}
    assert found(work.history(inside=[(1, "waiting", 0)])) == {"phantom": 1}


def test_an_item_handed_out_before_it_was_pushed(work):
    history = work.history(work.lease(2, 3, "a", [1]), work.push(4, 5, [1]), inside=[(1, "leased", 1)])
    assert found(history) == {"phantom": 1}


def test_one_attempt_twice(work, start):
    alone = work.lease(1100, 1101, "b", [2], attempt=1)
    again = work.lease(2200, 2201, "c", [2, 3], attempt=1)
    assert found(work.history(*start, alone, again, inside=GIVEN)) == {"attempt-twice": 1}
    nack = work.settle(20, 22, "nack", "a", [2])
    assert found(work.history(*start, nack, alone, inside=GIVEN)) == {"attempt-twice": 1}


def test_what_expired_with_others_has_used_no_attempt(work, start):
    again = work.lease(1100, 1101, "b", [1, 2], attempt=1), work.lease(2200, 2201, "c", [2], attempt=1)
    inside = [(1, "waiting", 1), (2, "leased", 1), *REST]
    assert found(work.history(*start, *again, inside=inside)) == {}


def test_a_release_does_not_count(work, start):
    release = work.settle(20, 22, "release", "a", [2])
    again = work.lease(30, 31, "b", [2], attempt=1)
    verdict = judge(work.history(*start, release, again, inside=GIVEN))
    assert (verdict.counts, verdict.totals["redelivered"]) == ({}, {"released": 1})


def test_an_attempt_that_goes_back(work):
    history = work.history(
        work.push(0, 1, [1]),
        *(
            work.lease(at * 2000, at * 2000 + 1, f"t{at}", [1], attempt=n)
            for at, n in enumerate([1, 3, 2], 1)
        ),
        inside=[(1, "leased", 3)],
    )
    assert found(history) == {"attempt-back": 1}


def test_more_attempts_than_allowed(work):
    leases = [work.lease(at * 2000, at * 2000 + 1, f"t{at}", [1], attempt=at) for at in (1, 2, 3)]
    history = work.history(work.push(0, 1, [1]), *leases, inside=[(1, "dead", 3)], max_attempts=2)
    assert found(history) == {"too-often": 1}


def test_buried_before_its_attempts_were_used_up(work, start):
    nack = work.settle(20, 22, "nack", "a", [2], verdict="dead")
    history = work.history(*start, nack, inside=[(1, "leased", 1), (2, "dead", 1), *REST])
    assert found(history) == {"buried-early": 2}  # the answer says so, and the queue


def test_a_key_pushed_twice(work):
    pushes = work.push(0, 1, [1], names=["k"]), work.push(2, 3, [2], names=["k"])
    assert found(work.history(*pushes, inside=[(1, "waiting", 0), (2, "waiting", 0)])) == {"key-twice": 1}


def test_a_known_key_is_told_its_seq(work):
    first, again = work.push(0, 1, [1], names=["k"]), work.push(2, 3, [1], names=["k"], known=[0])
    verdict = judge(work.history(first, again, inside=[(1, "waiting", 0)]))
    assert (verdict.counts, verdict.totals["known"]) == ({}, 1)
    other = work.push(2, 3, [7], names=["k"], known=[0])
    assert found(work.history(first, other, inside=[(1, "waiting", 0)])) == {"key-twice": 1}


def test_a_new_key_called_known(work):
    assert found(work.history(work.push(0, 1, [1], names=["k"], known=[0]))) == {"known-falsely": 1}


def test_a_seq_told_to_two_pushes(work):
    history = work.history(work.push(0, 1, [1]), work.push(2, 3, [1]), inside=[(1, "waiting", 0)])
    assert found(history) == {"seq-twice": 1}


# -- keys, audits, protocol


def test_replays_are_one_answer(work):
    first = work.push(0, 1, [1], key="k", **LOST)
    again = work.push(2, 3, [1], key="k", replay=True)
    assert found(work.history(first, again, inside=[(1, "waiting", 0)], audit=(1, 0))) == {}


def test_a_replay_that_differs(work):
    first, again = work.push(0, 1, [1], key="k"), work.push(2, 3, [2], key="k", replay=True)
    assert found(work.history(first, again, inside=[(1, "waiting", 0)])) == {"replay-differs": 1}


def test_more_items_than_asked_for(work, start):
    greedy = work.lease(30, 31, "b", [3, 4], most=1)
    inside = [(seq, "leased", 1) for seq in (1, 2, 3, 4)]
    assert found(work.history(*start, greedy, inside=inside)) == {"too-many": 1}


def test_a_settle_without_an_outcome(work, start):
    ack = work.settle(20, 22, "ack", "a", [1, 2], came=(Came(1, 1, "acked"),))
    assert found(work.history(*start, ack, inside=GIVEN[1:])) == {"unanswered": 1}


@pytest.mark.parametrize("audit", [(5, 2), (4, 1), (4, 3)])
def test_an_audit_that_contradicts_the_clients(work, start, audit):
    ack = work.settle(20, 22, "ack", "a", [1, 2])
    assert found(work.history(*start, ack, inside=REST, audit=(4, 2))) == {}
    assert "audit" in found(work.history(*start, ack, inside=REST, audit=audit))


def test_an_audit_that_changes_over_a_restart(work):
    history = work.history(work.push(0, 1, [1]), inside=[(1, "waiting", 0)], audit=(1, 0))
    [audit] = history.end.audits
    again = replace(audit, cursor=2, waiting=2)
    history.end = replace(history.end, audits=(again, audit))
    assert found(history) == {"audit": 1}


def test_what_expires_between_two_audits_is_no_contradiction(work, start):
    history = work.history(*start, inside=GIVEN, audit=(4, 0))
    [audit] = history.end.audits
    history.end = replace(history.end, audits=(replace(audit, leased=1, waiting=3), audit))
    assert found(history) == {}


# -- explanations


@pytest.mark.parametrize(("what", "cause"), [("crash", "crashed"), ("late", "late"), (None, "slow")])
def test_why_it_was_handed_out_again(work, start, what, cause):
    notes = [Note(what, 20 * MS, 20 * MS, "c1", "a")] if what else []
    again = work.lease(1100, 1101, "b", [1, 2], attempt=2)
    inside = [(1, "leased", 2), *GIVEN[1:]]
    verdict = judge(work.history(*start, *notes, again, inside=inside))
    assert (verdict.counts, verdict.totals["redelivered"]) == ({}, {cause: 2})


def test_a_lost_lease_is_explained_though_its_replay_came_after_the_next_one(work, start):
    push, _ = start
    lost = work.lease(10, 12, "a", [1, 2], key="k", **LOST)
    again, ack = work.lease(1100, 1101, "b", [1, 2]), work.settle(1102, 1103, "ack", "b", [1, 2])
    replay = work.lease(1500, 1501, "a", [1, 2], key="k", replay=True)
    verdict = judge(work.history(push, lost, again, ack, replay, inside=REST))
    assert (verdict.counts, verdict.totals["redelivered"]) == ({}, {"slow": 2})


def test_a_nack_and_a_restart_explain(work, start):
    nack = work.settle(20, 22, "nack", "a", [1])
    restart = Note("restart", 500 * MS, 900 * MS)
    again = work.lease(2000, 2001, "b", [1, 2], attempt=2)
    inside = [(1, "leased", 2), *GIVEN[1:]]
    verdict = judge(work.history(*start, nack, restart, again, inside=inside))
    assert verdict.totals["redelivered"] == {"nacked": 1, "restart": 1}
    assert verdict.as_json()["totals"]["redelivered"] == {"nacked": 1, "restart": 1}
