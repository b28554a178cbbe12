"""The load test of work against queues that are right, wrong, forgetful, full, gone: what it says of each."""

from __future__ import annotations

import pytest
from dibs.proof.checker import judge
from dibs.proof.history import read_history
from dibs.proof.load import run_load
from dibs.proof.plan import Jobs, Plan, is_poison, value_of
from dibs.proof.records import Note
from dibs.proof.report import sentence
from dibs.proof.verdict import Judgement

pytestmark = pytest.mark.slow  # loads of a few hundred items, half a second each

SMALL = {"clients": 3, "total": 300, "count": 10, "timeout": 60.0, "patience": 60.0}


@pytest.fixture
def run(fake_work, quiet, tmp_path):
    """Run a small load test against a fake queue; each run writes the same history file."""

    def run(queue, /, **plan):
        jobs = {name: plan.pop(name) for name in plan.keys() & Jobs.__slots__}
        jobs = Jobs(**({"producers": 2, "ttl": 0.2, "seed": 1} | jobs))
        with fake_work.serving(queue) as url:
            plan = Plan(url=url, jobs=jobs, **(SMALL | plan))
            return run_load(plan, quiet, history=tmp_path / "h.jsonl")

    return run


def test_a_correct_server_is_clean_and_its_queue_is_cleared_away(run, fake_work, tmp_path):
    queue = fake_work.FakeWork()
    result = run(queue, crash=0.2, late=0.1)
    assert (result.exit_code, result.fault, result.verdict.judgement) == (0, None, Judgement.CLEAN)
    totals = result.verdict.totals
    assert totals["pushed"] == totals["items"] + totals["dead"] == queue.cursor == 300
    assert (queue.items.keys() == set(), totals["dead"]) in {(True, 0), (False, len(queue.items))}
    assert [name.startswith("loadtest-") for name in queue.deleted] == [True]
    history = read_history(tmp_path / "h.jsonl")
    assert judge(history) == result.verdict
    assert history.end.steady
    assert "none lost" in sentence(result.verdict)


QUIET = {"crash": 0.0, "late": 0.0, "nack": 0.0, "release": 0.0}


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        ("crash", "crashed"),
        ("late", "late"),
        ("nack", "nacked"),
        ("release", "released"),
        ("nothing", None),
    ],
)
def test_each_redelivery_is_explained(run, fake_work, trouble, cause):
    expires = trouble in {"crash", "late"}
    plan = QUIET | ({trouble: 0.3} if cause else {}) | ({} if expires else {"ttl": 30.0})
    totals = run(fake_work.FakeWork(), max_attempts=50, **plan).verdict.totals
    busy = {"slow"} if expires else set()  # on a busy machine short leases end in honest hands, too
    assert totals["redelivered"].keys() - busy == ({cause} if cause else set())
    assert sum(totals["redelivered"].values()) == totals["handed_out"] - 300
    assert (totals["crashes"] > 0) == (trouble == "crash")
    assert trouble == "crash" or (totals["stale"] > 0) == (trouble == "late")


def test_a_consumer_that_crashed_is_replaced_by_another_name(run, fake_work, tmp_path):
    run(fake_work.FakeWork(), crash=0.5)
    lines = read_history(tmp_path / "h.jsonl").lines
    crashed = {line.client for line in lines if isinstance(line, Note) and line.what == "crash"}
    assert any("." in name for name in crashed)


def test_poison_dies_and_is_no_loss(run, fake_work):
    queue = fake_work.FakeWork()
    result = run(queue, total=1000, crash=0, late=0, nack=0, ttl=30.0)
    assert (result.exit_code, result.verdict.totals["dead"], result.verdict.totals["items"]) == (0, 1, 999)
    assert [item.value for item in queue.items.values()] == [1000]


@pytest.mark.parametrize(
    ("bug", "rule"),
    [
        ("two-owners", "two-owners"),
        ("acked-again", "acked-again"),
        ("live-refused", "live-refused"),
        ("value", "wrong-value"),
        ("same-attempt", "attempt-twice"),
        ("lose-pushed", "lost"),
        ("lose-nacked", "lost"),
    ],
)
def test_a_broken_server_is_caught_and_its_queue_kept(run, fake_work, bug, rule):
    queue = fake_work.FakeWork(bug=bug)
    result = run(queue, nack=0.1)
    assert (result.exit_code, result.verdict.judgement) == (1, Judgement.VIOLATED)
    assert result.verdict.counts[rule] > 0
    assert queue.deleted == []
    assert "was kept" in result.remarks[0]


def test_a_server_that_accepts_late_settles_is_caught(run, fake_work):
    """What has expired must not be claimed by others before: one consumer, and more than enough to do."""
    queue = fake_work.FakeWork(bug="no-fence", every=1)
    result = run(queue, clients=1, producers=1, total=2000, ttl=0.1, crash=0, late=0.3)
    assert result.verdict.counts["stale-accepted"] > 0


def test_a_server_that_forgets_the_keys_of_items_is_caught(run, fake_work):
    result = run(fake_work.FakeWork(bug="push-twice", every=1), again=1.0)
    assert result.verdict.counts["key-twice"] > 0


@pytest.mark.parametrize("hook", ["before", "after"])
def test_lost_replies_are_asked_for_again_with_their_keys(run, fake_work, hook):
    queue = fake_work.FakeWork()
    setattr(queue, hook, fake_work.at(range(5, 60, 7), fake_work.Fault()))
    result = run(queue)
    totals = result.verdict.totals
    assert (result.exit_code, totals["open"]) == (0, 0)
    assert totals["unknown"] >= 5
    assert totals["replays"] == (totals["unknown"] if hook == "after" else 0)


def test_a_server_that_forgets_what_it_answered_is_caught(run, fake_work):
    queue = fake_work.FakeWork(bug="forget-keys", every=1)
    queue.after = fake_work.at(range(5, 60, 7), fake_work.Fault())
    assert run(queue).exit_code == 1


def test_a_push_that_a_full_queue_refused_is_tried_again(run, fake_work):
    queue = fake_work.FakeWork()
    queue.before = fake_work.at({3, 4, 5}, fake_work.Fault.problem(429, "queue-full", handed_out="no"))
    result = run(queue)
    totals = result.verdict.totals
    assert (result.exit_code, totals["refused"], totals["unknown"]) == (0, 3, 0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, b"[]"), "200 without"),
        ((200, b"{}"), "200 without"),
        ((201, b'{"items": []}'), '{"items": []}'),
        ((404, b"not here"), "404"),
    ],
)
def test_an_answer_that_explains_nothing_is_a_fault_of_the_test(run, fake_work, answer, told):
    queue = fake_work.FakeWork()
    queue.before = fake_work.at(range(1, 1000), fake_work.Fault(*answer))
    result = run(queue, clients=1, producers=1)
    assert told in result.fault
    assert result.exit_code == 3


def test_producers_wait_for_room(run, fake_work):
    queue = fake_work.FakeWork()
    result = run(queue, total=1500, count=100, max_ready=200)
    assert (result.exit_code, result.verdict.totals["pushed"]) == (0, 1500)
    assert result.verdict.totals["refused"] > 0


def test_items_that_nobody_is_given_are_a_fault(run, fake_work):
    queue = fake_work.FakeWork()
    queue.claimable = lambda now: [item for item in queue.items.values() if item.seq != 7 and item.due <= now]
    result = run(queue, patience=0.2, ttl=0.1, crash=0)
    assert result.fault.endswith("items stay in the queue, and nobody is given them")
    assert result.exit_code == 3
    assert result.verdict.columns["lost"] == 0


def test_a_server_that_was_restarted_is_not_steady(run, fake_work, tmp_path):
    queue = fake_work.FakeWork()
    queue.began += 3600
    assert run(queue).exit_code == 0
    assert not read_history(tmp_path / "h.jsonl").end.steady


def test_ctrl_c_stops_and_judges_what_there_is(run, fake_work, quiet):
    def interrupt(tally):
        if tally["items"] > 20:
            quiet.on_tick = lambda tally: None
            raise KeyboardInterrupt

    quiet.on_tick = interrupt
    result = run(fake_work.FakeWork(), total=10**6)
    assert (result.exit_code, result.interrupted, result.verdict.judgement) == (130, True, Judgement.CLEAN)
    assert 20 < result.verdict.totals["items"] < 10**6
    assert "still in the queue" in sentence(result.verdict)


def test_the_tally_tells_of_crashes_and_redeliveries(run, fake_work, quiet):
    seen = []
    quiet.on_tick = seen.append
    run(fake_work.FakeWork(), crash=0.3, max_attempts=50)
    assert seen[-1]["crashed"] > 0
    assert seen[-1]["redelivered"] > 0
    assert seen[-1]["items"] == 300


def test_values_are_of_many_kinds_and_all_different():
    values = [value_of(number) for number in range(1, 1001)]
    assert {type(value) for value in values} == {int, str, dict, list}
    assert len({repr(value) for value in values}) == 1000
    assert [value for value in values if is_poison(value)] == [1000]
