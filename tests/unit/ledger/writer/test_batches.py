"""Batches in order, each reported once."""

from __future__ import annotations

from dibs.ledger.writer import Writer
from support.door import PATIENCE

from .conftest import Batch, after, serve


def test_a_batch_is_one_transaction_and_its_report_has_all_that_came_of_it(desk):
    batch = desk.submit("a", serve(7, "b", "c"))
    report = desk.told.get(timeout=PATIENCE)
    assert report.batch is batch
    assert report.applied.outcomes == ("did a", ("did b", "did c"))
    assert report.applied.after == {7: after(7, 1)}
    assert (report.applied.now, report.seconds > 0) == (1_001, True)
    assert len(desk.engine.calls) == 1


def test_batches_are_applied_and_told_in_their_order(desk):
    desk.busy("a")
    desk.submit("b")
    desk.submit("c")
    desk.engine.door.open()
    assert [desk.next() for _ in range(3)] == [["did a"], ["did b"], ["did c"]]
    assert desk.engine.disk == ["a", "b", "c"]


def test_a_report_that_raises_harms_nobody(desk):
    told = []

    def report(batch, applied, seconds):
        told.append(applied.outcomes)
        raise ZeroDivisionError

    other = Writer(desk.engine, report=report)
    other.submit(Batch(("a",)))
    other.submit(Batch(("b",)))
    assert other.close(PATIENCE)
    assert told == [("did a",), ("did b",)]
