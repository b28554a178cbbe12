"""Each rule of the checker, and the cases on its border."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dibs.proof.checker import judge
from dibs.proof.records import Audit, End, Note, Take, Taken
from dibs.proof.values import Piece
from dibs.proof.verdict import Judgement


def found(history, **options):
    """The rules that have a case, with their counts."""
    return judge(history, **options).counts


def test_a_history_without_requests_is_clean(build):
    verdict = judge(build.history())
    assert verdict.judgement is Judgement.CLEAN
    assert verdict.window is None


def test_each_item_to_one_request_is_clean(build):
    history = build.history(
        build.ok("a", 0, 5, (1, 3)), build.ok("b", 1, 4, (4, 6)), build.ok(None, 6, 7, [7]), cursor=0, end=7
    )
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN
    assert verdict.exit_code == 0
    assert (verdict.totals["items"], verdict.totals["seqs"], verdict.window) == (7, 7, (1, 7))


def test_a_seq_twice_names_both_requests(build):
    verdict = judge(build.history(build.ok("a", 0, 5, (1, 4)), build.ok("b", 1, 4, (3, 6))))
    assert verdict.counts == {"seq-twice": 2}
    assert (verdict.columns["duplicates"], verdict.exit_code) == (2, 1)
    [finding] = verdict.cases[0].examples
    assert finding.seqs == ((3, 4),)
    assert [(seen.client, seen.key, seen.line) for seen in finding.requests] == [
        ("c1", "a", 2),
        ("c1", "b", 3),
    ]


def test_a_seq_three_times_counts_two_duplicates(build):
    assert found(build.history(*(build.ok(None, 0, 9, (1, 2)) for _ in range(3)))) == {"seq-twice": 4}


def test_a_seq_twice_within_one_answer(build):
    assert found(build.history(build.ok("a", 0, 1, [1, 1]))) == {"seq-twice": 1}


def test_a_seq_with_two_values(build):
    history = build.history(build.ok("a", 0, 9, (1, 3)), build.ok("b", 0, 9, [2], ["other"]))
    assert found(history) == {"seq-twice": 1, "two-values": 1}


def test_a_value_that_comes_back_after_a_contradiction_is_not_a_second_one(build):
    one, other = build.ok("a", 0, 9, [1], ["x"]), build.ok("b", 0, 9, (1, 2), [7, 8])
    assert found(build.history(one, other, build.ok("c", 0, 9, [1], ["x"]))) == {
        "seq-twice": 2,
        "two-values": 1,
    }


def test_a_value_under_two_seqs(build):
    history = build.history(build.ok("a", 0, 9, (1, 3)), build.ok("b", 0, 9, (4, 5), [3, 4]))
    assert found(history) == {"value-twice": 1}


@pytest.mark.parametrize("value", ["x", 1.5, None, {"b": 1, "a": [2]}, "y" * 5000])
def test_a_value_of_any_kind_under_two_seqs(build, value):
    history = build.history(build.ok("a", 0, 9, [1], [value]), build.ok("b", 0, 9, [2], [value]))
    assert found(history) == {"value-twice": 1}


def test_values_that_only_look_alike_are_different(build):
    values = [1, "1", 1.0, True, [1], None, "null", {"a": 1}, '{"a":1}', "z" * 5000 + "a", "z" * 5000 + "b"]
    assert found(build.history(build.ok("a", 0, 9, (1, len(values)), values))) == {}


def test_a_source_that_repeats_itself_is_judged_by_seq_only(build):
    history = build.history(build.ok("a", 0, 9, [1, 2], ["x", "x"]), distinct=False)
    assert found(history) == {}


@pytest.mark.parametrize(("step", "values"), [(1, [10, 12, 13]), (5, [10, 15, 21]), (-1, [10, 11, 12])])
def test_a_skipped_value_is_told_by_what_the_source_counts(build, step, values):
    wrong = sum(value != 10 + at * step for at, value in enumerate(values))
    history = build.history(build.ok("a", 0, 9, (1, 3), values), start=10, step=step)
    assert found(history) == {"wrong-value": wrong}


def test_a_value_that_came_in_another_answer_is_not_skipped(build):
    right, wrong = build.ok("a", 0, 9, [1, 2], [1, 2]), build.ok("b", 0, 9, [2], [7])
    for records in ((right, wrong), (wrong, right)):
        assert found(build.history(*records, start=1, step=1)) == {"seq-twice": 1, "two-values": 1}


def test_a_gap_is_skipped_and_names_its_neighbours(build):
    verdict = judge(build.history(build.ok("a", 0, 1, (1, 3)), build.ok("b", 2, 3, (6, 7))))
    assert (verdict.columns["skipped"], verdict.exit_code) == (2, 1)
    assert verdict.cases[0].examples[0].seqs == ((4, 5),)
    assert [seen.key for seen in verdict.cases[0].examples[0].requests] == ["a", "b"]


def test_seqs_lost_at_both_ends_of_the_window_are_skipped(build):
    assert found(build.history(build.ok("a", 0, 1, (3, 4)), cursor=0, end=6, taken=0)) == {"gap": 4}


def test_nothing_handed_out_though_the_cursor_moved(build):
    assert found(build.history(build.refused("a", 0, 1), cursor=5, end=7))["gap"] == 2


def test_a_seq_outside_of_the_window(build):
    history = build.history(build.ok("a", 0, 1, (3, 9)), cursor=4, end=7)
    history.header = replace(history.header, taken=None)  # else the server's own count contradicts it, too
    verdict = judge(history)
    assert verdict.counts == {"outside": 4}
    assert verdict.cases[0].examples[0].seqs == ((3, 4), (8, 9))


def test_more_items_than_asked_for(build):
    assert found(build.history(build.ok("a", 0, 1, (1, 3), asked=2))) == {"too-many": 1}


def test_a_short_answer_is_legal(build):
    assert found(build.history(build.ok("a", 0, 1, (1, 3), asked=10))) == {}


def test_a_later_request_with_an_earlier_seq_is_reordered(build):
    verdict = judge(build.history(build.ok("a", 0, 5, [2]), build.ok("b", 6, 9, [1])))
    assert verdict.counts == {"reordered": 1}
    first, second = verdict.cases[0].examples[0].requests
    assert (first.key, second.key, second.invoked, second.completed) == ("a", "b", 6, 9)


@pytest.mark.parametrize("sent", [4, 5])
def test_requests_in_the_air_together_have_no_order(build, sent):
    assert found(build.history(build.ok("a", 0, 5, [2]), build.ok("b", sent, 9, [1]))) == {}


def test_one_low_seq_in_a_long_answer_is_reordered(build):
    history = build.history(
        build.ok("a", 0, 1, (3, 5)), build.ok("b", 2, 3, [6, 7, 2]), build.ok("c", 0, 9, [1])
    )
    assert found(history) == {"reordered": 1}


def test_a_lost_reply_is_resolved_by_its_replay(build):
    history = build.history(
        build.lost("a", 0, 2), build.ok("b", 1, 3, [2]), build.ok("a", 4, 5, [1], replay=True)
    )
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN
    assert verdict.totals["items"] == 2


def test_a_replay_was_drawn_after_its_first_sending_not_after_the_replay_was_sent(build):
    """Seq 2 had arrived before the replay of 1 was sent, not before its lost request was: in order."""
    lost, replay = build.lost("a", 0, 9), build.ok("a", 10, 11, [1], replay=True)
    assert found(build.history(lost, build.ok("b", 1, 5, [2]), replay)) == {}
    late = replace(lost, invoked=6)
    assert found(build.history(late, build.ok("b", 1, 5, [2]), replay)) == {"reordered": 1}


def test_a_refused_attempt_did_not_draw(build):
    """The draw was after the refusal: by the attempt at 6, after seq 2 had arrived."""
    history = build.history(
        build.refused("a", 0, 1),
        build.ok("b", 1, 5, [2]),
        build.lost("a", 6, 7),
        build.ok("a", 8, 9, [1], replay=True),
    )
    assert found(history) == {"reordered": 1}


def test_a_replay_that_arrives_shows_that_its_seqs_were_drawn_by_then(build):
    history = build.history(
        build.lost("a", 0, 2), build.ok("a", 3, 4, [2], replay=True), build.ok("b", 5, 6, [1])
    )
    assert found(history) == {"reordered": 1}


def test_the_same_key_twice_at_once_is_one_hand_out(build):
    """The replay arrived first: by then it was drawn, so b, sent after it, has to be above."""
    both = build.ok("a", 0, 9, [2]), build.ok("a", 1, 3, [2], replay=True)
    assert found(build.history(*both, build.ok("c", 0, 9, [1]))) == {}
    assert found(build.history(*both, build.ok("b", 4, 9, [1]))) == {"reordered": 1}


def test_an_attempt_that_never_reached_the_server_and_then_a_fresh_answer(build):
    assert found(build.history(build.lost("a", 0, 1), build.ok("a", 2, 3, [1]))) == {}


@pytest.mark.parametrize(("seqs", "values"), [([2], [2]), ([1], [2]), ([1, 2], [1, 2])])
def test_a_replay_that_differs(build, seqs, values):
    history = build.history(build.ok("a", 0, 1, [1]), build.ok("a", 2, 3, seqs, values, replay=True, asked=2))
    assert found(history) == {"replay-differs": 1}


def test_two_replays_that_differ_from_each_other(build):
    history = build.history(
        build.lost("a", 0, 1),
        build.ok("a", 2, 3, [1], replay=True),
        build.ok("a", 4, 5, [2], replay=True),
    )
    assert found(history) == {"replay-differs": 1}


def test_a_replay_of_nothing(build):
    assert found(build.history(build.ok("a", 0, 1, [1], replay=True))) == {"replay-of-nothing": 1}
    history = build.history(build.refused("a", 0, 1), build.ok("a", 2, 3, [1], replay=True))
    assert found(history) == {"replay-of-nothing": 1}


def test_a_takeover_explains_a_replay_of_a_request_that_was_under_way_then(build):
    """The server that its client asked sent it a second time, to the next owner."""
    requests = [build.ok("a", 10, 20, [1], replay=True)]
    for takeover, verdict in {(5, 10): {}, (12, 30): {}, (21, 30): 1, (2, 9): 1}.items():
        history = build.history(*requests)
        history.lines.append(Note("takeover", *takeover))
        assert found(history) == (verdict and {"replay-of-nothing": 1}), takeover
    history.lines.append(Note("restart", 5, 30))
    assert found(history) == {"replay-of-nothing": 1}


def test_of_several_servers_nobody_tells_when_one_takes_over(build):
    replay = build.ok("a", 10, 20, [1], replay=True)
    assert found(build.history(replay, several=True)) == {}


def test_a_replay_of_nothing_has_no_beginning_and_still_an_end(build):
    replay = build.ok("a", 4, 5, [2], replay=True)
    assert found(build.history(replay, build.ok("b", 6, 7, [1])))["reordered"] == 1
    assert found(build.history(build.ok("b", 0, 1, [3]), replay, build.ok("c", 0, 9, [1]))) == {
        "replay-of-nothing": 1
    }


def test_a_key_that_is_answered_anew(build):
    history = build.history(build.ok("a", 0, 1, [1]), build.ok("a", 2, 3, [2]))
    assert found(history) == {"key-spent-twice": 1}


def test_the_same_answer_twice_without_the_mark_of_a_replay(build):
    history = build.history(build.ok("a", 0, 1, [1]), build.ok("a", 2, 3, [1]))
    assert found(history) == {"seq-twice": 1, "key-spent-twice": 1}


def test_a_fresh_answer_after_a_replay_of_its_key(build):
    history = build.history(
        build.lost("a", 0, 1), build.ok("a", 2, 3, [1], replay=True), build.ok("a", 4, 5, [1])
    )
    assert "key-spent-twice" in found(history)


def test_a_reply_that_stayed_lost_is_unexplained_and_inconclusive(build):
    verdict = judge(build.history(build.lost("a", 0, 1), build.ok("b", 0, 1, [1]), cursor=0, end=1))
    assert verdict.counts == {"unresolved": 1}
    assert (verdict.judgement, verdict.exit_code) == (Judgement.INCONCLUSIVE, 3)


def test_a_gap_that_a_lost_request_may_own_is_allowed_not_skipped(build):
    history = build.history(
        build.lost(None, 0, 3, asked=2), build.ok("b", 1, 2, [3]), cursor=0, end=3, taken=0
    )
    verdict = judge(history)
    assert verdict.counts == {"unresolved": 1, "allowed": 2}
    assert verdict.judgement is Judgement.INCONCLUSIVE


def test_a_lost_request_can_own_no_more_than_it_asked_for(build):
    history = build.history(build.lost(None, 0, 3, asked=2), build.ok("b", 1, 2, [4]), cursor=0, end=4)
    assert found(history) == {"unresolved": 1, "allowed": 2, "gap": 1}


def test_a_lost_request_can_own_one_gap_only(build):
    history = build.history(
        build.lost(None, 0, 9, asked=9), build.ok("b", 0, 9, [2]), build.ok("c", 0, 9, [5]), cursor=0, end=5
    )
    assert found(history) == {"unresolved": 1, "allowed": 2, "gap": 1}


def test_a_lost_request_can_not_own_what_is_below_a_reply_that_had_arrived(build):
    history = build.history(build.ok("b", 0, 1, [2]), build.lost(None, 2, 3), cursor=0, end=2)
    assert found(history) == {"unresolved": 1, "gap": 1}


def test_lost_attempts_of_one_key_are_one_request(build):
    history = build.history(
        build.lost("a", 0, 1), build.lost("a", 2, 3), build.ok("b", 0, 9, [3]), cursor=0, end=3
    )
    assert found(history) == {"unresolved": 1, "allowed": 1, "gap": 1}


def test_a_refusal_after_a_lost_reply_resolves_it(build):
    history = build.history(build.lost("a", 0, 1), build.refused("a", 2, 3), build.ok("b", 0, 9, [1]))
    assert judge(history).judgement is Judgement.CLEAN


def test_a_refused_key_may_still_own_a_gap(build):
    history = build.history(
        build.lost("a", 0, 1), build.refused("a", 2, 3), build.ok("b", 0, 9, [2]), cursor=0, end=2
    )
    assert found(history) == {"allowed": 1}
    assert judge(history).judgement is Judgement.INCONCLUSIVE


def test_a_refusal_before_the_lost_reply_resolves_nothing(build):
    assert found(build.history(build.refused("a", 0, 1), build.lost("a", 2, 3))) == {"unresolved": 1}


def test_missing_seqs_of_a_shared_queue_are_not_judged_when_others_took_as_many(build):
    history = build.history(build.ok("a", 0, 1, [1, 4]), cursor=0, end=4, exclusive=False)
    assert found(history) == {"unjudged": 2}
    assert judge(history).exit_code == 3


def test_missing_seqs_of_a_shared_queue_that_nobody_took_are_skipped(build):
    history = build.history(build.ok("a", 0, 1, [1, 4]), cursor=0, end=4, exclusive=False)
    history.end = End(1, (Audit(4, 2, 0, False),))
    assert found(history) == {"gap": 2, "audit": 1}


def test_a_shared_queue_that_nobody_else_used_has_a_full_verdict(build):
    history = build.history(build.ok("a", 0, 1, (6, 7)), cursor=5, end=7, exclusive=False)
    assert judge(history).judgement is Judgement.CLEAN


def test_a_jump_of_the_cursor_is_no_loss(build):
    history = build.history(build.ok("a", 0, 1, [1, 4]), cursor=0, end=4, jumped=2)
    assert found(history) == {"unjudged": 2}


def test_the_servers_count_has_to_agree(build):
    history = build.history(build.ok("a", 0, 1, [1, 2]), cursor=0, end=2)
    history.end = End(1, (Audit(2, 1, 0, True),))
    assert found(history) == {"audit": 1}


def test_the_audit_has_to_be_the_same_after_a_restart(build):
    history = build.history(build.ok("a", 0, 1, [1, 2]), cursor=0, end=2)
    audit = Audit(2, 2, 0, True)
    history.end = End(1, (audit, audit))
    assert judge(history).judgement is Judgement.CLEAN
    history.end = End(1, (Audit(1, 1, 0, True), audit))
    assert found(history) == {"audit": 1}
    history.header = replace(history.header, exclusive=False)
    assert found(history) == {}


def test_examples_are_limited_and_counts_are_not(build):
    history = build.history(*(build.ok(None, 0, 9, [1]) for _ in range(50)))
    verdict = judge(history, examples=3)
    assert verdict.counts["seq-twice"] == 49
    assert len(verdict.cases[0].examples) == 3


def test_a_million_consecutive_items_cost_no_more_than_one(build):
    wide = build.ok("a", 0, 1, [1])
    wide = replace(wide, answer=Taken((Piece(1, 10**6, 1),)), asked=Take(10**6))
    assert judge(build.history(wide, build.ok("b", 2, 3, [10**6 + 1]))).totals["items"] == 10**6 + 1
