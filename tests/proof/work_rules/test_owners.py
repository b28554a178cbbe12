"""No item has two owners: when a lease is certain, and what ends that."""

from __future__ import annotations

import pytest
from dibs.proof.checker import judge
from dibs.proof.records import Outcome

from .conftest import GIVEN, LOST, REST, found


def test_a_hand_out_within_a_live_lease(work, start):
    history = work.history(*start, work.lease(500, 501, "b", [2], attempt=2), inside=GIVEN)
    assert found(history) == {"two-owners": 1}
    [finding] = judge(history).cases[0].examples
    assert finding.seqs == ((2, 2),)
    assert [seen.line for seen in finding.requests] == [3, 4]


@pytest.mark.parametrize(("arrives", "clash"), [(1006, True), (1008, False), (1012, False)])
def test_the_lease_is_certain_from_the_reply_until_its_end_after_the_request(work, start, arrives, clash):
    """It was asked for at 10, for 1000: 1010, less 2 for rounding and 1 for drift."""
    history = work.history(*start, work.lease(900, arrives, "b", [2], attempt=2), inside=GIVEN)
    assert found(history) == ({"two-owners": 1} if clash else {})


def test_what_the_reply_says_is_left_counts_from_the_request(work):
    """A long poll: the lease was given late, but nobody but the server knows when."""
    history = work.history(
        work.push(0, 1, [1]),
        work.lease(10, 500, "a", [1], left=999),
        work.lease(1100, 1101, "b", [1], attempt=2),
        inside=[(1, "leased", 2)],
    )
    assert found(history) == {}


def test_a_hand_out_before_the_first_one_arrived_is_no_clash(work):
    """The first may have been over when its reply came."""
    history = work.history(
        work.push(0, 1, [1]),
        work.lease(10, 2000, "a", [1]),
        work.lease(1500, 1501, "b", [1], attempt=2),
        inside=[(1, "leased", 2)],
    )
    assert found(history) == {}


def test_a_hand_out_within_a_lease_clashes_though_its_own_is_over_at_once(work, start):
    history = work.history(*start, work.lease(500, 501, "b", [2], attempt=2, ttl=1), inside=GIVEN)
    assert found(history) == {"two-owners": 1}
    history = work.history(*start, work.lease(11, 501, "b", [2], attempt=2, ttl=1), inside=GIVEN)
    assert found(history) == {}


@pytest.mark.parametrize("do", ["ack", "nack", "release"])
@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.UNKNOWN])
def test_what_may_have_ended_a_lease_ends_the_certainty(work, start, do, outcome):
    attempt = 1 if do == "release" else 2
    history = work.history(
        *start,
        work.settle(100, 300, do, "a", [2], outcome=outcome),
        work.lease(150, 200, "b", [2], attempt=attempt),
        inside=[(1, "leased", 1), *REST] + [(2, "leased", attempt)] * (do != "ack"),
    )
    assert "two-owners" not in found(history)


def test_a_stale_settle_ends_nothing(work, start):
    settle = work.settle(1100, 1101, "ack", "a", [2], verdict="stale")
    history = work.history(*start, settle, work.lease(500, 501, "b", [2], attempt=2), inside=GIVEN)
    assert found(history) == {"two-owners": 1}


def test_an_extension_prolongs_the_certainty(work, start):
    extend = work.settle(900, 901, "extend", "a", [2], ttl=2000)
    clash = work.lease(2500, 2501, "b", [2], attempt=2)
    assert found(work.history(*start, extend, clash, inside=GIVEN)) == {"two-owners": 1}
    later = work.lease(2950, 2951, "b", [2], attempt=2)
    assert found(work.history(*start, extend, later, inside=GIVEN)) == {}


def test_an_extension_without_a_reply_may_have_shortened_it(work, start):
    extend = work.settle(100, 101, "extend", "a", [2], ttl=50, **LOST)
    clash = work.lease(500, 501, "b", [2], attempt=2)
    assert found(work.history(*start, extend, clash, inside=GIVEN)) == {}


@pytest.mark.parametrize("ttls", [(50, 2000), (2000, 50)])
def test_of_extensions_that_were_in_the_air_at_once_the_shorter_counts(work, start, ttls):
    extends = [work.settle(100, 100, "extend", "a", [2], ttl=ttl) for ttl in ttls]
    clash = work.lease(500, 501, "b", [2], attempt=2)
    assert found(work.history(*start, *extends, clash, inside=GIVEN)) == {}


def test_a_replayed_lease_counts_from_the_first_request(work):
    """The lost request at 10 leased it: by 1100 it is over, whatever the replay at 900 says is left."""
    history = work.history(
        work.push(0, 1, [1]),
        work.lease(10, 12, "a", [1], key="k", **LOST),
        work.lease(900, 901, "a", [1], key="k", replay=True),
        work.lease(1100, 1101, "b", [1], attempt=2),
        inside=[(1, "leased", 2)],
    )
    assert found(history) == {}
