"""Every engine against ``workmodel``, item by item: random batches, time, restarts and reopenings."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from workmodel.compare import agree, changed_something, normal
from workmodel.model import Model
from workmodel.moves import ALL, KINDS, SETTINGS, SOURCES, Mover

from app.ledger.ops import Define, OpFailed
from app.ledger.work import Bury, Claim

moves = st.tuples(st.sampled_from(KINDS), st.binary(min_size=6, max_size=30))
FILED = ("Claim", "Push", "Settle", "Redrive", "Purge")


def blur(seen, expected):
    """What the contract leaves open is taken over from the engine: since when an expired item is dead."""
    return [
        replace(row, due=None) if row.state == "dead" and wanted.due is None else row
        for row, wanted in zip(seen, expected, strict=True)
    ]


@pytest.fixture
def machine(new_ledger):
    """A machine on one kind of engine; each of its runs has a ledger of its own."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.ledger = new_ledger()
            self.model = Model()
            self.serial = 0
            self.filed: list[tuple] = []
            begin = [
                Define(name, SOURCES[name], "{}", settings=SETTINGS[n]) for n, name in enumerate(SOURCES)
            ]
            now = self.ledger.engine.now()
            assert self.ledger.engine.apply(begin) == [self.model.apply(op, now) for op in begin]

        @rule(batch=st.lists(moves, min_size=1, max_size=6))
        def apply(self, batch) -> None:
            """Buried first: when a claim of a few finds what lies behind them is left to the engine."""
            after, now = copy.deepcopy(self.model), self.ledger.engine.now()
            mover = Mover(after, now, self.serial)
            ops, expected, legal = [], [], True
            for place, (kind, decisions) in enumerate(batch):
                op = mover.op(kind, decisions)
                first = [] if place else [Bury(queue) for queue in after.shelves]
                if place == 0 and isinstance(op, Claim) and op.most == ALL:
                    first = [
                        bury for bury in first if bury.queue != op.queue or after.shelves[op.queue].row.paused
                    ]
                last = [Bury(queue) for queue in after.shelves] if isinstance(op, Define) else []
                for one in (*first, op, *last):
                    ops.append(one)
                    try:
                        expected.append(after.apply(one, now))
                    except OpFailed:
                        legal = False
                        break
                if not legal:
                    break
            self.serial = mover.serial()
            if legal:
                self.answered(ops, expected, self.ledger.engine.apply(ops), after, now)
            else:
                with pytest.raises(OpFailed):
                    self.ledger.engine.apply(ops)

        def answered(self, ops, expected, outcomes, after, now) -> None:
            for op, want, outcome in zip(ops, expected, outcomes, strict=True):
                assert agree(want, normal(outcome, now)), (op, want, outcome)
                if type(op).__name__ in FILED and op.remember is not None and op.remember.key != "s":
                    generation = self.model.shelves[op.queue].row.generation
                    later = after.shelves[op.queue].row.generation
                    if generation == later and self.tells(op, want):
                        kept = outcome if changed_something(want) else None
                        key = (op.queue, generation, "", op.remember.key)
                        self.filed.append((key, kept, now + op.remember.ttl))
            self.model = after

        @staticmethod
        def tells(op, want) -> bool:
            """Whether the contract says if this is filed; of what changed nothing it mostly does not."""
            return changed_something(want) or type(op).__name__ in {"Claim", "Push"}

        @rule(milliseconds=st.sampled_from([1, 999, 1_000, 29_000, 61_000]))
        def time_passes(self, milliseconds: int) -> None:
            self.ledger.time.pass_(milliseconds)

        @rule(wall=st.sampled_from([0, 0, 20_000, 3_600_000, -3_600_000]))
        def restart(self, wall: int) -> None:
            stopped = self.ledger.engine.now()
            if self.ledger.starts:
                self.ledger.time.wall += wall
            self.ledger.restart()
            if self.ledger.starts:
                self.model.start(stopped, self.ledger.engine.now())

        @rule()
        def reopen(self) -> None:
            self.ledger.engine.reopen()

        @invariant()
        def what_is_inside_is_what_the_model_has(self) -> None:
            engine, now = self.ledger.engine, self.ledger.engine.now()
            rows = {row.id: row for row in engine.rows()}
            for queue, shelf in self.model.shelves.items():
                assert rows[queue] == shelf.row
                looks = shelf.looks(now)
                items = self.ledger.items(queue)
                assert blur(items, looks) == looks
                assert engine.counts(queue) == shelf.counts(now)
                assert engine.next_due(queue) == shelf.next_due()
                for item in shelf.items.values():
                    seen = [
                        (f.attempt, f.at, f.worker, f.error)
                        if at is not None
                        else (f.attempt, None, f.worker, None)
                        for f, (_, at, _, _) in zip(
                            engine.failures(queue, item.seq), item.failures, strict=True
                        )
                    ]
                    assert seen == item.failures

        @invariant()
        def what_was_answered_is_filed(self) -> None:
            now = self.ledger.engine.now()
            for key, kept, expires in self.filed[-12:]:
                found = self.ledger.engine.recall(*key)
                assert (found and found.work) == (kept if expires > now else None)
            for queue, shelf in self.model.shelves.items():
                found = self.ledger.engine.recall(queue, shelf.row.generation, "", "s")
                live = shelf.stream and shelf.stream[1] > now
                assert (found and found.work) == (shelf.stream[0] if live else None)

        def teardown(self) -> None:
            self.ledger.engine.close()

    return Machine


def run(machine, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_an_engine_works_as_the_model_does(machine):
    run(machine, 12, 15)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_engine_works_as_the_model_does_for_long(machine):
    run(machine, 500, 40)
