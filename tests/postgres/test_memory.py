"""An owner's memory and PostgreSQL: which of both decides, where only one of them has a transaction."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import seqs, take
from dibs.ledger.ops import CommitFailed, EngineFailed, Pause
from dibs.ledger.serve import Serve


@contextmanager
def no_room() -> Iterator[None]:
    """No file can be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def takes(queue, count):
    return Serve(queue, 1, (take(count),), length=100)


def test_what_memory_has_no_room_for_is_told_as_it_is_in_postgresql(owner):
    engine = owner.engine
    with no_room(), pytest.raises(CommitFailed) as failed:
        engine.apply([takes(owner.numbers, 2)])
    engine.reopen()
    assert engine.number() == failed.value.applied.number
    assert seqs(failed.value.applied.outcomes[0][0]) == [1, 2]
    owner.same()
    [[more]] = engine.apply([takes(owner.numbers, 1)]).outcomes
    assert seqs(more) == [3]
    owner.same()


def test_it_is_told_though_memory_has_room_again_only_later(owner):
    engine = owner.engine
    with no_room():
        with pytest.raises(CommitFailed) as failed:
            engine.apply([takes(owner.numbers, 2)])
        for _ in range(2):
            with pytest.raises(EngineFailed):
                engine.reopen()
    engine.reopen()
    assert engine.number() == failed.value.applied.number
    owner.same()


def test_a_change_that_changed_nothing_lends_its_number_to_no_later_one(owner):
    """A queue is paused that is paused already; then a take is lost with its session."""
    for _ in range(2):
        owner.engine.apply([Pause(owner.jobs, True)])
    owner.end_session()
    [[again]] = owner.recovery.apply([takes(owner.numbers, 2)]).outcomes  # it is sent again
    [[served]] = owner.recovery.apply([takes(owner.numbers, 1)]).outcomes
    assert (seqs(again), seqs(served)) == ([1, 2], [3])
    owner.same()
