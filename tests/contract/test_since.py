"""Since when: a queue is paused or has ended, an attempt began, a value is kept; and who did what."""

from asks import LENGTH, lease, settle
from dibs.ledger.actions import KEPT, Action
from dibs.ledger.looks import FailureRow, Kept
from dibs.ledger.ops import Close, Define, Fail, Pause, Retry
from dibs.ledger.work import Extend, Nack, Release


def test_since_when_a_queue_is_paused_or_has_failed_is_on_disk(ledger):
    queue = ledger.define("q").id

    def since():
        row = ledger.engine.row(queue)
        return row.paused_at, row.ended_at

    assert since() == (None, None)
    ledger.do(Fail(queue, "ValueError", "no"))
    failed = ledger.engine.now()
    ledger.time.pass_(1_000)
    ledger.do(Pause(queue, True))
    paused = ledger.engine.now()
    ledger.time.pass_(1_000)
    ledger.do(Pause(queue, True))  # it was so before
    ledger.do(Fail(queue, "KeyError", "again"))
    assert since() == (paused, failed)
    ledger.restart()
    if ledger.engine.row(queue) is not None:  # memory forgets all
        assert since() == (paused, failed)
        [row] = ledger.engine.rows()
        assert (row.paused_at, row.ended_at) == (paused, failed)


def test_it_is_forgotten_when_that_is_over(ledger):
    queue = ledger.define("q").id
    ledger.do(Fail(queue, "ValueError", "no"))
    ledger.do(Pause(queue, True))
    ledger.do(Retry(queue))
    ledger.do(Pause(queue, False))
    row = ledger.engine.row(queue)
    assert (row.paused_at, row.ended_at) == (None, None)
    ledger.time.pass_(5)
    ledger.do(Close(queue))
    assert ledger.engine.row(queue).ended_at == ledger.engine.now()
    ledger.do(Pause(queue, True))
    again = ledger.do(Define("q", "range", "{}", reset=True))
    row = ledger.engine.row(again.id)
    assert (row.paused_at, row.ended_at) == (None, None)


def test_a_source_that_ends_has_ended_then(ledger):
    queue = ledger.define("q").id
    ledger.time.pass_(5)
    ledger.round(queue, lease("t", LENGTH + 1), length=LENGTH)
    assert (ledger.engine.row(queue).ending, ledger.engine.row(queue).ended_at) == (
        "exhausted",
        ledger.engine.now(),
    )


def test_an_attempt_began_with_its_hand_out_however_often_it_was_extended(ledger):
    queue = ledger.jobs("1", "2")
    kept = ledger.engine.now()
    ledger.time.pass_(100)
    began = ledger.engine.now()
    ledger.round(queue, lease("t", 2, ttl=1_000))
    for _ in range(3):
        ledger.time.pass_(900)
        ledger.round(queue, settle(Extend("t", 1_000)))
    assert [item.began for item in ledger.items(queue)] == [began, began]
    ledger.round(queue, settle(Release("t", ((2, 2),)), Nack("t", ((1, 1),), 0, "no")))
    assert ledger.engine.failures(queue, 1) == [FailureRow(1, began + 2_700, "ann", "no", began)]
    assert [item.began for item in ledger.items(queue)] == [0, 0]
    again = ledger.engine.now()
    ledger.round(queue, lease("u", 1, ttl=1_000))
    ledger.time.pass_(1_500)
    expired = FailureRow(2, again + 1_000, "ann", "the lease expired", again)
    assert ledger.engine.failures(queue, 1)[1] == expired  # nobody has found it yet
    ledger.round(queue, lease("v", 1))
    assert ledger.engine.failures(queue, 1)[1] == expired
    assert [ledger.engine.kept(queue, seq) for seq in (1, 2, 3)] == [Kept(kept, "")] * 2 + [None]


def test_fresh_items_too(ledger):
    queue = ledger.define("q").id
    ledger.round(queue, lease("t", 3), length=LENGTH)
    assert [item.began for item in ledger.items(queue)] == [ledger.engine.now()] * 3
    assert ledger.engine.kept(queue, 1) is None  # its value is computed


def test_the_last_actions_stay_in_order(ledger):
    assert ledger.engine.actions() == []
    some = [Action(n, "ann", "q", f"did {n}", "did") for n in range(KEPT + 50)]
    ledger.engine.apply(some[:KEPT])
    for action in some[KEPT:]:
        ledger.do(action)
    assert ledger.engine.actions() == some[50:]
    ledger.restart()
    assert ledger.engine.actions() in (some[50:], [])  # memory forgets all
