"""No item is lost: rule by rule, and the cases on the border. Times are milliseconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dibs.proof.checker import judge
from dibs.proof.fields import Came
from dibs.proof.records import Outcome
from dibs.proof.verdict import Judgement

from .conftest import LOST, MS, REST, found


def test_a_history_without_requests_is_clean(work):
    verdict = judge(work.history(audit=(0, 0)))
    assert (verdict.judgement, verdict.exit_code) == (Judgement.CLEAN, 0)


def test_every_item_acked_is_clean(work, start):
    whole = work.settle(20, 22, "ack", "a", came=(Came(1, 2, "acked"),))
    parts = work.lease(30, 31, "b", [3, 4]), work.settle(40, 42, "ack", "b", [3, 4])
    history = work.history(*start, whole, *parts, audit=(4, 4))
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN, verdict.cases
    totals = verdict.totals
    assert (totals["pushed"], totals["items"], totals["handed_out"], totals["leases"]) == (4, 4, 4, 2)
    assert totals["redelivered"] == {}


# -- lost


def test_an_item_that_is_nowhere_is_lost(work, start):
    history = work.history(*start, work.settle(20, 22, "ack", "a", [1]), inside=REST)
    assert found(history) == {"lost": 1}
    [finding] = judge(history).cases[0].examples
    assert finding.seqs == ((2, 2),)
    assert [seen.line for seen in finding.requests] == [2, 3]


@pytest.mark.parametrize("state", ["waiting", "leased", "dead"])
def test_an_item_that_is_inside_is_not_lost(work, start, state):
    inside = [(1, state, 5), (2, state, 5), *REST]
    assert found(work.history(*start, inside=inside, audit=(4, 0))) == {}


def test_a_lost_ack_leaves_it_open(work, start):
    history = work.history(*start, work.settle(20, 22, "ack", "a", **LOST), inside=REST)
    assert found(history) == {"maybe": 2}
    assert judge(history).exit_code == 3


def settled_with_a_lease(work, since, until, do, seq, verdict, **more):
    """A settling of one item of token a that asks for a next lease, too, and is given none."""
    settle = work.settle(since, until, do, "a", [seq], verdict=verdict, key="k", **more)
    return replace(settle, asked=replace(settle.asked, most=10, ttl=1000 * MS))


REFUSED = {"outcome": Outcome.FAILED}


def test_the_refusal_of_a_lease_says_nothing_of_what_was_settled_before_it(work, start):
    """The item was released at 20, and handed out again; that is told when the key is asked again."""
    refused = settled_with_a_lease(work, 20, 50, "release", 1, "released", **REFUSED)
    again = work.lease(30, 31, "b", [1])
    told = settled_with_a_lease(work, 60, 61, "release", 1, "released")
    inside = [(1, "leased", 1), (2, "leased", 1), *REST]
    assert found(work.history(*start, refused, again, told, inside=inside)) == {}
    assert found(work.history(*start, again, told, inside=inside)) == {"two-owners": 1}


@pytest.mark.parametrize(("most", "rules"), [(10, {"maybe": 1}), (0, {"lost": 1})])
def test_an_ack_that_is_never_asked_again_after_its_lease_was_refused_leaves_it_open(
    work, start, most, rules
):
    refused = settled_with_a_lease(work, 20, 50, "ack", 1, "acked", **REFUSED)
    refused = replace(refused, asked=replace(refused.asked, most=most))
    assert found(work.history(*start, refused, inside=[(2, "leased", 1), *REST])) == rules


def test_a_lost_ack_whose_item_is_inside_is_no_question(work, start):
    history = work.history(
        *start, work.settle(20, 22, "ack", "a", **LOST), inside=[(1, "leased", 1), (2, "leased", 1), *REST]
    )
    assert found(history) == {}


def test_where_nobody_looked_it_is_unjudged(work, start):
    assert found(work.history(*start, inside=None)) == {"unjudged": 4}


def test_a_hand_out_that_nobody_got(work):
    history = work.history(
        work.push(0, 1, [1]), work.lease(10, 12, "a", [1], attempt=3), inside=[(1, "leased", 3)]
    )
    assert found(history) == {"unseen": 2}


def test_a_hand_out_that_a_lost_request_may_have_had(work):
    history = work.history(
        work.push(0, 1, [1]),
        work.lease(2, 3, "?", [], **LOST),
        work.lease(2000, 2001, "a", [1], attempt=2),
        inside=[(1, "leased", 2)],
    )
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN
    assert (verdict.totals["unseen"], verdict.totals["open"]) == (1, 1)
    assert verdict.totals["redelivered"] == {"unknown": 1}
    assert "never got a reply" in verdict.notes[0]
