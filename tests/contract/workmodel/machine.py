"""A ledger and its model, in step: batches, time, restarts and reopenings, and a look inside after each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from dibs.ledger.ops import Define
from dibs.ledger.serve import After
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workmodel.batch import Batch
from workmodel.compare import agree, normal
from workmodel.model import Model
from workmodel.moves import KINDS, SETTINGS, SOURCES, Mover

moves = st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
TIMES = [0] * 8 + [1, 1, 999, 1_000, 1_000, 29_000, 61_000]
WALLS = [None] * 12 + [0, 0, 20_000, 3_600_000, -3_600_000]
"""By how much the wall clock jumps over a restart, if there is one."""


class Machine(RuleBasedStateMachine):
    """One ledger and its model, which say the same whatever happens. ``new_ledger`` is a fixture's."""

    new_ledger: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.ledger = type(self).new_ledger()
        self.model = Model()
        self.serial = 0
        self.applied(
            [
                Define(name, source, "{}", settings=SETTINGS[n])
                for n, (name, source) in enumerate(SOURCES.items())
            ]
        )

    @rule(
        batch=st.lists(moves, min_size=1, max_size=8),
        milliseconds=st.sampled_from(TIMES),
        wall=st.sampled_from(WALLS),
    )
    def apply(self, batch, milliseconds: int, wall: int | None) -> None:
        mover = Mover(copy.deepcopy(self.model), self.ledger.engine.now(), self.serial)
        self.applied(mover.batch(batch))
        self.serial = mover.serial()
        self.ledger.time.pass_(milliseconds)
        if wall is not None:
            self.restart(wall)

    def applied(self, ops: list) -> None:
        """Apply a batch; each of its outcomes is the model's."""
        now = self.ledger.engine.now()
        want = Batch(self.model, ops, now).outcomes
        applied = self.ledger.engine.apply(ops)
        for op, expected, outcome in zip(ops, want, applied.outcomes, strict=True):
            got = normal(outcome)
            assert agree(expected, got), (op, expected, got)
        for queue, told in applied.after.items():
            self.told(queue, told, now)

    def told(self, queue: int, told: After, now: int) -> None:
        """What is told of a queue after a batch; that it may be claimed before it can is no fault."""
        shelf = self.model.shelves.get(queue)
        if shelf is None:
            assert told.deleted  # it was replaced
            return
        row, alive = shelf.row, [item.due for item in shelf.items.values() if item.state(now) != "dead"]
        assert told[:3] == (row.id, row.edition, row.cursor)
        assert (told.ending, told.paused, told.deleted) == (
            row.ending,
            row.paused,
            row.deleted_at is not None,
        )
        assert not alive or (told.next_due is not None and told.next_due <= max(now, min(alive)))
        assert told.over <= (row.ending is not None and not alive)

    def restart(self, wall: int) -> None:
        stopped = self.ledger.engine.now()
        if self.ledger.starts:
            self.ledger.time.wall += wall
        self.ledger.restart()
        if self.ledger.starts:
            now = self.ledger.engine.now()
            self.model.start(stopped, now, self.ledger.renews(now - stopped))
        self.ledger.engine.reopen()

    @invariant()
    def what_is_inside_is_what_the_model_has(self) -> None:
        engine, now = self.ledger.engine, self.ledger.engine.now()
        rows = {shelf.row.name: shelf.row for shelf in self.model.shelves.values()}
        assert [normal(row) for row in engine.rows()] == [rows[name] for name in sorted(rows)]
        for queue, shelf in self.model.shelves.items():
            assert normal(engine.row(queue)) == shelf.row
            assert self.ledger.items(queue) == shelf.looks(now)
            for state in ("waiting", "leased", "dead"):
                assert self.ledger.items(queue, state) == [
                    row for row in shelf.looks(now) if row.state == state
                ]
            counts = shelf.counts(now)
            assert engine.counts(queue) == counts
            glance = engine.glance(queue)
            assert sum(glance) == shelf.row.inside
            assert glance == (counts.waiting, counts.leased, counts.dead)
            for item in shelf.items.values():
                seen = [
                    (f.attempt, f.at, f.worker, f.error)
                    if at is not None
                    else (f.attempt, None, f.worker, None)
                    for f, (_, at, _, _) in zip(
                        engine.failures(queue, item.seq), item.failed(now), strict=True
                    )
                ]
                assert seen == item.failed(now)

    def teardown(self) -> None:
        self.ledger.close()
