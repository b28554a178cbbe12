"""Every engine against a model of a few lines: random ops, ops at fault, restarts, time that passes."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace

import pytest
from dibs.ledger.ops import (
    Advance,
    Close,
    Define,
    Delete,
    OpFailed,
    Pause,
    QueueRow,
    Remember,
    Retry,
    SourceEnd,
    Take,
)
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test


class Model:
    """The contract of ``ops.py`` as plain Python: rows by name, answers by key."""

    def __init__(self) -> None:
        self.rows: dict[str, QueueRow] = {}
        self.created = 0
        self.answers: dict[tuple, tuple] = {}

    def by_id(self, queue: int) -> QueueRow:
        found = [row for row in self.rows.values() if row.id == queue]
        if not found:
            raise OpFailed
        return found[0]

    def live(self, queue: int) -> QueueRow:
        row = self.by_id(queue)
        if row.deleted_at is not None:
            raise OpFailed
        return row

    def apply(self, op, now: int) -> QueueRow | None:
        row = getattr(self, type(op).__name__.lower())(op, now)
        self.rows[row.name] = row
        outcome = None if isinstance(op, Take) else row
        if op.remember is not None:
            kept = asdict(row)
            if isinstance(op, Take):
                kept = {"first": op.first, "ending": op.end.ending if op.end else None}
            key = (row.root, row.generation, op.remember.caller, op.remember.key)
            if key in self.answers and self.answers[key][3] > now:
                raise OpFailed
            self.answers[key] = (op.remember.request, kept, op.remember.values, now + op.remember.ttl)
        return outcome

    def take(self, op: Take, now: int) -> QueueRow:
        row = self.live(op.queue)
        if op.count:
            if row.ending is not None or op.first != row.cursor + 1:
                raise OpFailed
            row = replace(row, cursor=row.cursor + op.count, taken=row.taken + op.count, mark=op.mark)
        if op.end is not None:
            if op.last != row.cursor or row.ending not in (None, op.end.ending):
                raise OpFailed
            failed = op.end.ending == "failed"
            cause = (op.end.type, op.end.message) if failed else (None, None)
            row = replace(row, ending=op.end.ending, failure_type=cause[0], failure_message=cause[1])
        return row

    def define(self, op: Define, now: int) -> QueueRow:
        row = self.rows.get(op.name)
        if row is None:
            return self.create(op, now, root=self.created + 1)
        if op.reset:
            return self.create(op, now, root=row.root, generation=row.generation + 1)
        same = (row.source, row.args) == (op.source, op.args)
        if row.deleted_at is not None:
            mark = row.mark if same else None
            kept = {"cursor": row.cursor, "base": row.cursor, "mark": mark}
            return self.create(op, now, root=row.root, generation=row.generation, **kept)
        if row.cursor:
            raise OpFailed
        if not same:
            kept = {"created_at": row.created_at, "paused": row.paused}
            return self.create(op, now, root=row.root, generation=row.generation, **kept)
        return replace(row, ending=None, failure_type=None, failure_message=None, edition=row.edition + 1)

    def create(self, op: Define, now: int, **kept) -> QueueRow:
        self.created += 1
        anew = QueueRow(self.created, op.name, 1, op.source, op.args, now, None, False, *[None] * 4, 0, 0, 0)
        return replace(anew, **kept)

    def pause(self, op: Pause, now: int) -> QueueRow:
        return replace(self.live(op.queue), paused=op.paused)

    def close(self, op: Close, now: int) -> QueueRow:
        row = self.live(op.queue)
        return replace(row, ending="closed", failure_type=None, failure_message=None, edition=row.edition + 1)

    def retry(self, op: Retry, now: int) -> QueueRow:
        row = self.live(op.queue)
        if row.ending != "failed":
            raise OpFailed
        return replace(row, ending=None, failure_type=None, failure_message=None, edition=row.edition + 1)

    def advance(self, op: Advance, now: int) -> QueueRow:
        row = self.live(op.queue)
        if row.ending is not None or op.to_seq <= row.cursor:
            raise OpFailed
        jumped = row.jumped + op.to_seq - row.cursor
        mark = row.mark if op.keeps_mark else None
        return replace(row, cursor=op.to_seq, jumped=jumped, mark=mark, edition=row.edition + 1)

    def delete(self, op: Delete, now: int) -> QueueRow:
        return replace(self.live(op.queue), deleted_at=now)


# An intention becomes an op when the state that it meets is known: so most are legal, and some are not.
queues = st.integers(1, 5)
keys = st.none() | st.builds(
    Remember,
    key=st.sampled_from("kl"),
    request=st.just("r"),
    ttl=st.sampled_from([1, 30_000, 90_000]),
    caller=st.sampled_from(["", "ann"]),
    values=st.sampled_from([(), ('"ä"', "1"), range(3, 9, 2)]),
)
ends = st.none() | st.sampled_from([SourceEnd("exhausted"), SourceEnd("failed", "E", "m")])
off = st.sampled_from([0] * 9 + [-1, 1])
marks = st.none() | st.sampled_from(["m", "n"])
intents = st.one_of(
    st.tuples(st.just("take"), queues, off, st.integers(0, 4), marks, ends, keys),
    st.tuples(st.just("take"), queues, off, st.integers(1, 4), marks, st.none(), keys),
    st.tuples(st.just("advance"), queues, st.integers(0, 5), st.booleans(), keys),
    st.tuples(st.just("define"), st.sampled_from("abc"), st.sampled_from("xy"), st.booleans(), keys),
    st.tuples(st.sampled_from(["pause", "resume", "close", "retry", "delete"]), queues, keys),
)


def op_of(intent: tuple, model: Model):
    kind, target, *rest = intent
    if kind == "define":
        source, reset, remember = rest
        return Define(target, source, "{}", reset, remember)
    cursor = next((row.cursor for row in model.rows.values() if row.id == target), 0)
    if kind == "take":
        shift, count, mark, end, remember = rest
        count = count or (end is None)  # nothing without an end is not an op
        return Take(target, cursor + 1 + shift, count, mark, end, remember)
    if kind == "advance":
        by, keeps_mark, remember = rest
        return Advance(target, cursor + by, keeps_mark, remember)
    make = {
        "pause": lambda: Pause(target, True, rest[0]),
        "resume": lambda: Pause(target, False, rest[0]),
        "close": lambda: Close(target, rest[0]),
        "retry": lambda: Retry(target, rest[0]),
        "delete": lambda: Delete(target, rest[0]),
    }
    return make[kind]()


@pytest.fixture
def machine(new_ledger):
    """A machine on one kind of engine; each of its runs has a ledger of its own."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.ledger = new_ledger()
            self.model = Model()

        @rule(batch=st.lists(intents, min_size=1, max_size=5))
        def apply(self, batch) -> None:
            after, ops, outcomes = copy.deepcopy(self.model), [], []
            now, legal = self.ledger.engine.now(), True
            for intent in batch:
                ops.append(op_of(intent, after))
                try:
                    outcomes.append(after.apply(ops[-1], now))
                except OpFailed:
                    legal = False
                    break
            if legal:
                assert self.ledger.engine.apply(ops) == outcomes
                self.model = after
            else:
                with pytest.raises(OpFailed):
                    self.ledger.engine.apply(ops)

        @rule(milliseconds=st.sampled_from([1, 999, 30_000, 61_000]))
        def time_passes(self, milliseconds: int) -> None:
            self.ledger.time.pass_(milliseconds)

        @rule()
        def restart(self) -> None:
            before = self.ledger.engine.now()
            self.ledger.restart()
            assert self.ledger.engine.now() == before

        @rule()
        def reopen(self) -> None:
            self.ledger.engine.reopen()

        @invariant()
        def the_rows_are_those_of_the_model(self) -> None:
            rows = self.ledger.engine.rows()
            assert rows == [self.model.rows[name] for name in sorted(self.model.rows)]
            assert all(row.taken + row.jumped == row.cursor - row.base for row in rows)
            assert [self.ledger.engine.row(row.id) for row in rows] == rows

        @invariant()
        def the_answers_are_those_of_the_model(self) -> None:
            now = self.ledger.engine.now()
            for key, (asked, kept, values, expires) in self.model.answers.items():
                found = self.ledger.engine.recall(*key)
                if expires <= now:
                    assert found is None
                else:
                    assert (found.request, dict(found.outcome), found.values) == (asked, kept, values)

        def teardown(self) -> None:
            self.ledger.close()

    return Machine


def test_an_engine_is_what_the_model_is(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
        ),
    )
