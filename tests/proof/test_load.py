"""The load test against servers that are right, wrong, slow, full, gone: what it says of each."""

from __future__ import annotations

import pytest
from dibs.proof.checker import judge
from dibs.proof.errors import HarnessFault
from dibs.proof.history import read_history
from dibs.proof.load import run_load
from dibs.proof.plan import Plan
from dibs.proof.report import sentence
from dibs.proof.verdict import Judgement


@pytest.fixture
def run(fake, quiet, tmp_path):
    """Run a small load test against a fake queue; each run writes the same history file."""

    def run(queue, /, **plan):
        with fake.serving(queue) as url:
            plan = Plan(url=url, **({"clients": 4, "total": 100, "timeout": 60.0, "patience": 60.0} | plan))
            return run_load(plan, quiet, history=tmp_path / "h.jsonl")

    return run


def test_a_correct_server_is_clean_and_its_queue_is_cleared_away(run, fake, tmp_path):
    queue = fake.FakeQueue()
    result = run(queue)
    assert (result.exit_code, result.fault, result.verdict.judgement) == (0, None, Judgement.CLEAN)
    assert (result.verdict.totals["items"], result.verdict.window, queue.cursor) == (100, (1, 100), 100)
    assert len(result.latencies) == 100
    assert [name.startswith("loadtest-") for name in queue.deleted] == [True]
    history = read_history(tmp_path / "h.jsonl")
    assert judge(history) == result.verdict
    assert (history.header.source, history.header.step, history.header.exclusive) == ("count()", 1, True)


def test_batches_ask_for_no_more_than_the_total(run, fake):
    result = run(fake.FakeQueue(), total=1000, count=64)
    assert (result.exit_code, result.verdict.totals["items"], result.verdict.totals["ok"]) == (0, 1000, 16)


def test_a_server_that_hands_out_a_seq_twice_is_caught_and_its_queue_kept(run, fake):
    queue = fake.FakeQueue()
    queue.draw = lambda first, last: (first, last) if first != 77 else (50, 50)
    result = run(queue)
    assert result.exit_code == 1
    assert (result.verdict.columns["duplicates"], result.verdict.columns["skipped"]) == (1, 1)
    assert queue.deleted == []
    assert "was kept" in result.remarks[0]


def test_a_server_that_skips_a_seq_is_caught(run, fake):
    queue = fake.FakeQueue()

    def skip(number):
        if number == 50:
            queue.cursor += 1

    queue.before = skip
    result = run(queue)
    assert (result.exit_code, result.verdict.columns["skipped"], result.verdict.columns["duplicates"]) == (
        1,
        1,
        0,
    )


def test_a_server_that_forgets_the_last_seqs_is_caught_by_its_own_cursor(run, fake):
    queue = fake.FakeQueue()

    def lose(number):
        if number == 100:
            queue.cursor += 2

    queue.after = lose
    assert run(queue).verdict.counts["gap"] == 2


def test_a_server_that_keeps_a_seq_back_is_caught(run, fake):
    """75 goes out first and its place is filled with 50 when that comes; nothing is lost or twice."""
    queue = fake.FakeQueue()
    queue.draw = lambda first, last: {50: (75, 75), 75: (50, 50)}.get(first, (first, last))
    result = run(queue, clients=2)
    assert (result.exit_code, result.verdict.columns["duplicates"], result.verdict.columns["skipped"]) == (
        1,
        0,
        0,
    )
    assert result.verdict.columns["reordered"] >= 1


def test_an_audit_that_does_not_add_up_is_caught(run, fake):
    queue = fake.FakeQueue()
    queue.balanced = False
    assert dict(run(queue).verdict.counts) == {"audit": 1}


def test_lost_replies_are_asked_for_again_with_their_keys(run, fake):
    queue = fake.FakeQueue()
    queue.after = fake.at(range(5, 100, 20), fake.Fault())
    result = run(queue)
    assert (result.exit_code, result.verdict.totals["items"]) == (0, 100)
    assert result.verdict.totals["unknown"] == result.verdict.totals["replays"] >= 1


def test_requests_that_are_lost_before_the_draw_are_answered_fresh(run, fake):
    queue = fake.FakeQueue()
    queue.before = fake.at(range(5, 100, 20), fake.Fault())
    result = run(queue)
    assert (result.exit_code, result.verdict.totals["replays"], result.verdict.totals["unknown"]) == (0, 0, 5)


def test_without_keys_a_lost_reply_stays_unexplained_and_its_item_is_not_called_skipped(run, fake):
    queue = fake.FakeQueue()
    queue.after = fake.at({60}, fake.Fault())
    result = run(queue, keys=False)
    assert result.verdict.counts == {"unresolved": 1, "allowed": 1}
    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("status", "name", "handed_out"),
    [
        (503, "paused", "no"),
        (507, "ledger-full", "no"),
        (503, "outcome-unknown", "maybe"),
        (500, "internal", "maybe"),
    ],
)
def test_refusals_that_say_so_are_tried_again(run, fake, status, name, handed_out):
    queue = fake.FakeQueue()
    queue.before = fake.at({3, 4, 5}, fake.Fault.problem(status, name, handed_out=handed_out))
    result = run(queue)
    assert result.exit_code == 0
    totals = result.verdict.totals
    assert (totals["failed"], totals["unknown"]) == ((3, 0) if handed_out == "no" else (0, 3))


def test_a_proxy_that_knows_nothing_is_not_believed(run, fake):
    queue = fake.FakeQueue()
    queue.after = fake.at({3}, fake.Fault(502, b"<html>bad gateway</html>"))
    result = run(queue)
    assert (result.exit_code, result.verdict.totals["unknown"], result.verdict.totals["replays"]) == (0, 1, 1)


def test_nothing_to_hand_out_for_a_moment(run, fake):
    queue = fake.FakeQueue()
    queue.before = fake.at({3}, fake.Fault(204))
    assert run(queue).exit_code == 0


@pytest.mark.parametrize("limit", [1, 50, 99])
def test_a_finite_source_is_handed_out_to_its_end(run, fake, limit):
    result = run(fake.FakeQueue(limit=limit), count=3)
    assert (result.exit_code, result.verdict.totals["items"]) == (0, limit)
    assert "exhausted" in result.remarks[0]


def test_nothing_handed_out_proves_nothing(run, fake):
    result = run(fake.FakeQueue(limit=0))
    assert result.exit_code == 3
    assert "nothing is proved" in result.fault
    assert sentence(result.verdict) == "Clean: nothing was handed out, and nothing is missing."


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (("problem", 409, "source-failed"), "409 source-failed: it is source-failed"),
        ((404, b"not here"), "404"),
        ((200, b"[]"), "200 without items"),
        ((200, b"{}"), "200 without items"),
        ((200, b'{"queue": "other", "seq": 1, "value": 1}'), "without items of this queue"),
    ],
)
def test_an_answer_that_explains_nothing_is_a_fault_of_the_test(run, fake, fault, told):
    queue = fake.FakeQueue()
    made = fake.Fault.problem(*fault[1:], retryable=False) if fault[0] == "problem" else fake.Fault(*fault)
    queue.before = fake.at({20}, made)
    result = run(queue, clients=1)
    assert told in result.fault
    assert result.exit_code == 3


def test_no_server_is_a_fault(quiet, fake):
    with fake.serving(fake.FakeQueue()) as url:
        pass
    with pytest.raises(HarnessFault, match="no server at"):
        run_load(Plan(url=url), quiet)


def test_an_unknown_queue_is_a_fault(run, fake):
    with pytest.raises(HarnessFault, match="404 no such queue"):
        run(fake.FakeQueue(), queue="unknown")


def test_counters_that_are_none_are_a_fault(run, fake):
    queue = fake.FakeQueue()
    queue.cursor = "many"
    with pytest.raises(
        HarnessFault, match="the server's answer can't be read: \"cursor\" must be a valid integer"
    ):
        run(queue)


def test_a_server_that_stops_answering_ends_the_test_when_patience_does(run, fake):
    queue = fake.FakeQueue()

    def stuck(number):
        if number > 50:
            raise fake.Fault()

    queue.before = stuck
    result = run(queue, patience=0.1)
    assert result.exit_code == 3
    assert "nothing for" in result.fault
    assert result.verdict.columns["skipped"] == 0


def test_an_existing_queue_that_nobody_else_uses_has_a_full_verdict(run, fake):
    queue = fake.FakeQueue()
    queue.cursor = queue.taken = 1000
    result = run(queue, queue="orders")
    assert (result.exit_code, result.verdict.window, result.verdict.notes) == (0, (1001, 1100), ())
    assert queue.deleted == []


def test_others_on_the_queue_are_noticed_and_not_called_a_loss(run, fake):
    queue = fake.FakeQueue()

    def another(number):
        if number in {20, 60}:
            queue.cursor += 1
            queue.taken += 1

    queue.before = another
    result = run(queue, queue="orders")
    assert (result.exit_code, result.verdict.counts) == (3, {"unjudged": 2})
    assert "Others may have used the queue" in result.verdict.notes[0]


def test_text_values_are_judged_by_seq(run, fake, tmp_path):
    assert run(fake.FakeQueue(source="lines", args={"path": "x"}), queue="orders").exit_code == 0
    reader = read_history(tmp_path / "h.jsonl")
    assert (reader.header.distinct, reader.header.start) == (False, None)


def test_a_source_that_starts_elsewhere_shows_a_wrong_value(run, fake):
    result = run(fake.FakeQueue(args={"start": 2}), queue="orders")
    assert result.verdict.counts == {"wrong-value": 100}


def test_ctrl_c_stops_asking_and_judges_what_there_is(run, fake, quiet, tmp_path):
    def interrupt(tally):
        if tally["answers"] > 20:
            quiet.on_tick = lambda tally: None
            raise KeyboardInterrupt

    quiet.on_tick = interrupt
    result = run(fake.FakeQueue(), total=10**6)
    assert (result.exit_code, result.interrupted, result.verdict.judgement) == (130, True, Judgement.CLEAN)
    assert 20 < result.verdict.totals["items"] < 10**6
    history = read_history(tmp_path / "h.jsonl")
    assert len(history.lines) == history.end.lines == result.verdict.totals["requests"]


def test_a_history_that_can_not_be_written_is_not_begun(quiet, fake, tmp_path):
    with fake.serving(fake.FakeQueue()) as url, pytest.raises(IsADirectoryError):
        run_load(Plan(url=url, total=1), quiet, history=tmp_path)


def test_a_client_without_patience_left_says_what_the_server_said_last(run, fake):
    queue = fake.FakeQueue()

    def broken(number):
        if number > 5:
            raise fake.Fault.problem(500, "internal", handed_out="maybe")

    queue.before = broken
    result = run(queue, clients=1, patience=1.0)
    assert "500 internal: it is internal" in result.fault
    assert result.exit_code == 3
