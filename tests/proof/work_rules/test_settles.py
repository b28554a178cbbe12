"""An ack is once, a settle in time, an outcome true."""

from __future__ import annotations

import pytest
from dibs.proof.checker import judge
from dibs.proof.fields import Came
from dibs.proof.records import Note

from .conftest import GIVEN, LOST, MS, REST, found, late

# -- acked again


def test_a_hand_out_after_the_ack_was_answered(work, start):
    ack = work.settle(20, 22, "ack", "a", [1, 2])
    history = work.history(*start, ack, work.lease(30, 31, "b", [2], attempt=2), inside=REST)
    assert found(history) == {"acked-again": 1}


def test_a_hand_out_that_was_asked_for_before_the_ack_was_answered_is_stale_at_worst(work, start):
    """Both ways round are wrong: then the ack was accepted from a token that was over, or two had it."""
    ack = work.settle(20, 40, "ack", "a", [1, 2])
    history = work.history(*start, ack, work.lease(21, 22, "b", [2], attempt=2), inside=REST)
    assert found(history) == {}


def test_two_acks(work, start):
    one, two = work.settle(20, 22, "ack", "a", [1, 2]), work.settle(20, 23, "ack", "b", [2])
    lease = work.lease(11, 12, "b", [2], ttl=1, attempt=2)
    history = work.history(*start, lease, one, two, inside=REST, steady=False)
    assert found(history) == {"acked-twice": 1}


def test_acked_and_still_inside(work, start):
    ack = work.settle(20, 22, "ack", "a", [1, 2])
    assert found(work.history(*start, ack, inside=[(1, "leased", 1), *REST])) == {"acked-inside": 1}


@pytest.mark.parametrize("do", ["ack", "nack", "extend", "release"])
def test_a_settle_after_the_lease_must_have_ended(work, start, do):
    assert found(late(work, start, 1020, do)) == {"stale-accepted": 1}


def test_just_before_it_must_have_ended_nothing_is_proved(work, start):
    """The reply came at 12 and said 1000: 1012, and 3 more for rounding and drift."""
    assert found(late(work, start, 1015)) == {}
    assert found(late(work, start, 1016)) == {"stale-accepted": 1}


def test_a_restart_may_have_prolonged_a_lease(work, start):
    restart = Note("restart", 500 * MS, 900 * MS)
    assert found(late(work, (*start, restart), 1020)) == {}
    assert found(late(work, (*start, restart), 1910)) == {"stale-accepted": 1}


def test_a_server_that_may_have_been_restarted_unseen_is_not_judged_by_the_clock(work, start):
    history = late(work, start, 5000, steady=False)
    assert found(history) == {}
    assert "restarted unseen" in judge(history).notes[0]


def test_an_extension_moves_the_end(work, start):
    extend = work.settle(900, 902, "extend", "a", [2])
    assert found(late(work, (*start, extend), 1800)) == {}
    assert found(late(work, (*start, extend), 1910)) == {"stale-accepted": 1}


def test_a_settle_after_somebody_else_had_the_item(work, start):
    """No clock is needed: the second hand-out ended the first lease."""
    history = work.history(
        *start,
        work.lease(1100, 1101, "b", [2], attempt=2),
        work.settle(1102, 1103, "nack", "a", [2]),
        inside=[(1, "leased", 1), (2, "waiting", 2), *REST],
        steady=False,
    )
    assert found(history) == {"stale-accepted": 1}


def test_a_token_settled_twice(work, start):
    settles = work.settle(20, 30, "nack", "a", [2]), work.settle(21, 29, "release", "a", [2])
    history = work.history(*start, *settles, inside=GIVEN)
    assert found(history) == {"stale-accepted": 1}


def test_a_settling_that_was_filed_before_its_lease_is_no_replay_and_took_effect_then(work, start):
    """The first request settled, the server died while its lease had to wait; the repeat was given one."""
    lost = work.settle(20, 22, "nack", "a", [2], key="k", **LOST)
    other = work.lease(100, 101, "b", [2], attempt=2)
    again = work.settle(200, 201, "nack", "a", [2], key="k")
    assert found(work.history(*start, lost, other, again, inside=GIVEN)) == {}
    assert found(work.history(*start, other, again, inside=GIVEN)) == {"two-owners": 1}


def test_a_token_that_was_never_given_out(work, start):
    history = work.history(*start, work.settle(20, 21, "nack", "forged", [1]), inside=GIVEN)
    assert found(history) == {"stale-accepted": 1}


@pytest.mark.parametrize("seqs", [[1, 2], None])
def test_a_live_token_called_stale(work, start, seqs):
    history = work.history(*start, work.settle(500, 501, "ack", "a", seqs, verdict="stale"), inside=GIVEN)
    assert found(history) == {"live-refused": 2}


def test_a_token_called_stale_when_it_may_have_been_over(work, start):
    history = work.history(*start, work.settle(900, 1008, "ack", "a", [1], verdict="stale"), inside=GIVEN)
    assert found(history) == {}


def test_a_settle_of_the_whole_lease_must_mention_what_is_live(work, start):
    ack = work.settle(20, 22, "ack", "a", came=(Came(1, 1, "acked"),))
    assert found(work.history(*start, ack, inside=GIVEN[1:])) == {"live-refused": 1}
    first = work.settle(18, 19, "nack", "a", [2])
    assert found(work.history(*start, first, ack, inside=GIVEN[1:])) == {}


def test_a_refused_result_leaves_the_lease_live(work, start):
    refused = work.settle(20, 22, "ack", "a", [2], verdict="refused")
    clash = work.lease(500, 501, "b", [2], attempt=2)
    assert found(work.history(*start, refused, clash, inside=GIVEN)) == {"two-owners": 1}


def test_a_token_in_two_answers(work, start):
    history = work.history(
        *start, work.lease(10, 12, "a", [3]), inside=[*GIVEN[:2], (3, "leased", 1), REST[1]]
    )
    assert found(history) == {"token-twice": 1}
