"""A batch of ops in one transaction: the keys of all, then all ops but Serve, entries, hand-outs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..access import AddToken, RevokeToken
from ..actions import Action
from ..inbox import BoundInbox, TakeIn
from ..ops import (
    Accept,
    Advance,
    Close,
    Define,
    Delete,
    Fail,
    NotAsExpected,
    OpFailed,
    Pause,
    QueueRow,
    Retry,
)
from ..serve import After, Key, Keyed, Refusal, Replay, Serve, Served
from ..work import Moved, Purge, Push, Pushed, Redrive, Sweep
from . import access, actions, arrivals, expected, filed, moving, pushing, queues
from .keys import Case, Keys, Leader
from .rows import Acked, Answer, Name
from .serving import Serving
from .transaction import Transaction

NOWHERE = -1
"""Stands for the queue that a definition is to create, where its key is looked up."""

HANDLERS: dict[type, Callable[[Transaction, Any], Any]] = {
    Define: queues.define,
    Pause: queues.pause,
    Close: queues.close,
    Retry: queues.retry,
    Fail: queues.fail,
    Advance: queues.advance,
    Accept: queues.accept,
    Delete: queues.delete,
    Push: pushing.push,
    Redrive: moving.redrive,
    Purge: moving.purge,
    Sweep: moving.sweep,
    AddToken: access.add,
    RevokeToken: access.revoke,
    Action: actions.note,
    TakeIn: arrivals.take_in,
    BoundInbox: lambda _tx, op: op,  # the engine that has an inbox tells it
}
"""What does each op, but Serve, in a transaction."""


class Batch:
    """Applies ops in a transaction. ``outcomes``: what came of each, in order.

    ``after``: the queues that were touched, as of the end of the batch. ``_names``: what the answers of the
    ops with keys are filed under; ``_wanted``: all names that are looked up; ``_settles``: some have entries.
    """

    def __init__(self, tx: Transaction, ops: Sequence[Any]) -> None:
        self._tx = tx
        self._ops = ops
        self._keys: Keys | None = None
        self._servings: dict[int, Serving] = {}
        self._others: list[int] = []
        self._names: dict[int, Name] = {}
        self._wanted: list[tuple[Name, Key]] = []
        self._settles = False
        self.outcomes: list[Any] = [None] * len(ops)
        self.after: dict[int, After] = {}
        for at, op in enumerate(ops):
            if type(op) is not Serve:
                self._others.append(at)
                if type(op) is Keyed:
                    self._names[at] = name = self._name(op)
                    self._wanted.append((name, op.key))
                continue
            account = tx.account(op.queue)
            if account is None:  # the row was replaced, and swept
                self.outcomes[at] = (Served(why="moved"),) * len(op.asks)
                continue
            self._servings[at] = serving = Serving(tx, op, account)
            self._wanted += serving.keyed.values()
            self._settles = self._settles or serving.settles

    def apply(self) -> None:
        """Apply all of them, and write."""
        servings = self._servings
        if self._wanted:
            self._keys = Keys(self._tx, self._wanted)
            for serving in servings.values():
                serving.rule(self._keys)
        if self._tx.store.item_keys.far:
            self._tx.store.item_keys.expected(expected.item_keys(self._tx, self._ops))
        for at in self._others:
            self.outcomes[at] = self._other(at, self._ops[at])
        if self._settles:
            self._settle()
        for serving in servings.values():
            serving.hand_out()
        for at, serving in servings.items():
            if serving.keyed:
                serving.file()
            if serving.after:
                serving.follow()
            self.outcomes[at] = tuple(serving.out)
        self._tx.write()
        for queue, account in self._tx.touched.items():
            self.after[queue] = account.after()

    # -- keys

    def _name(self, op: Keyed) -> Name:
        """Where the answer of an op is filed: of the definition of a new queue, nowhere yet."""
        of: Any = op.op
        account = self._tx.named(of.name) if isinstance(of, Define) else self._tx.account(of.queue)
        if account is None:
            return Name(NOWHERE, 0, op.key.caller, f"{of} {op.key.text}")
        return Name(account.root, account.generation, op.key.caller, op.key.text)

    # -- entries

    def _settle(self) -> None:
        """Settle all entries. Of those that only ack all of a token the items are acked in one statement."""
        acked: dict[int, dict[str, list[Acked]]] = {}
        whole: list[tuple[int, str]] = []
        for serving in self._servings.values():
            if serving.settles:
                whole += serving.whole()
        if whole:
            for queue, token in whole:
                acked.setdefault(queue, {})[token] = []
            for run in self._tx.runs.ack(whole, self._tx.now):
                acked[run.queue][run.token].append(run)
        for at, serving in self._servings.items():
            if serving.settles:
                serving.settle(acked.get(self._ops[at].queue, {}))

    # -- all ops but Serve

    def _other(self, at: int, op: Any) -> Any:
        if self._keys is None or type(op) is not Keyed:
            return self._done(op)
        case = self._keys.cases[self._names[at]]
        ruling = self._keys.rule(case, op.key, self, at)
        if isinstance(ruling, Leader):
            return Replay(ruling.owner.outcome(ruling.at))
        if isinstance(ruling, str):
            return Refusal(ruling)
        return self._run(at, case, op, ruling)

    def _done(self, op: Any) -> Any:
        handler = HANDLERS.get(type(op))
        if handler is None:
            raise OpFailed(f"no engine knows what a {type(op).__name__} is")
        try:
            return handler(self._tx, op)
        except NotAsExpected as error:  # nothing was changed; the others go on
            return error.conflict

    def _run(self, at: int, case: Case, keyed: Keyed, known: Answer | None) -> Any:
        """Run an op for its key; a long one that is filed unfinished goes on from there."""
        op: Any = keyed.op
        if known is not None:
            before = filed.read(known)
            if not isinstance(before, Moved) or before.rest is None:
                return Replay(before)
            op = replace(op, part=before)
            case.leader = Leader(keyed.key, self, at)
        outcome = self._done(op)
        if _changed(op, outcome):
            self._file(keyed, outcome)
        return outcome

    def _file(self, keyed: Keyed, outcome: Any) -> None:
        """File an outcome, with the queue as it is now: a definition may have made or reset it."""
        of: Any = keyed.op
        account = self._tx.account(outcome.id if isinstance(of, Define) else of.queue)
        if account is None or self._keys is None:
            return
        key: Key = keyed.key
        own = account.settings.key_ttl
        name = Name(account.root, account.generation, key.caller, key.text)
        self._keys.file(
            self._keys.case(name), key, keyed.ttl if own is None else own, filed.of_other(outcome), None
        )

    def supersede(self, at: int) -> None:
        """Another op of this batch is later in the same session: whatever ran before it has run."""

    def outcome(self, at: int) -> Any:
        """What came of an op of the batch."""
        return self.outcomes[at]


def _changed(op: Any, outcome: Any) -> bool:
    """Whether an op changed anything: only such answers are kept, the others can be asked again."""
    if isinstance(outcome, Moved):
        return outcome.count > 0
    if isinstance(outcome, Pushed):
        return outcome.refused is None
    if not isinstance(outcome, QueueRow):
        return False
    if isinstance(op, Delete):
        return outcome.deleted_at is not None
    return not (isinstance(op, Define) and op.reset and not op.confirmed and outcome.inside)
