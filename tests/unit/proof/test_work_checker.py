"""Each rule of the checker of work, and the cases on its border. Times are milliseconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dibs.proof.checker import judge
from dibs.proof.fields import Came
from dibs.proof.records import Note, Outcome
from dibs.proof.verdict import Judgement

MS = 1_000_000
LOST = {"outcome": Outcome.UNKNOWN}


def found(history):
    """The rules that have a case, with their counts."""
    return judge(history).counts


@pytest.fixture
def start(work):
    """Items 1 to 4 are pushed; 1 and 2 are leased from 10 on for 1000."""
    return work.push(0, 1, [1, 2, 3, 4]), work.lease(10, 12, "a", [1, 2])


REST = [(3, "waiting", 0), (4, "waiting", 0)]


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


# -- two owners

GIVEN = [(1, "leased", 1), (2, "leased", 2), *REST]


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


# -- fencing


def late(work, start, at, do="ack", **more):
    inside = [(1, "leased", 1), *REST] + [(2, "leased", 1)] * (do != "ack")
    return work.history(*start, work.settle(at, at + 1, do, "a", [2]), inside=inside, **more)


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
