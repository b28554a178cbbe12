"""A batch of ops in one transaction: the keys of all, then all ops but Serve, entries, hand-outs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..ops import Define, Delete, NotAsExpected, OpFailed, QueueRow
from ..serve import After, Key, Keyed, Refusal, Replay, Serve, Served
from ..work import Moved, Pushed
from . import filed
from .accounts import Account
from .fresh import Openings
from .handlers import HANDLERS
from .keys import Keys, Leader
from .rows import Acked, Answer, Name
from .sequences import Sequences
from .serving import Serving
from .transaction import Transaction

NOWHERE = -1
"""Stands for the queue that a definition is to create, where its key is looked up."""


class Batch:
    """Applies ops in a transaction. ``outcomes``: what came of each, in order.

    ``strict``: an op whose queue is not as it expects fails the transaction.
    """

    __slots__ = ("_keys", "_names", "_openings", "_ops", "_servings", "_strict", "_tx", "outcomes")

    def __init__(
        self,
        tx: Transaction,
        ops: Sequence[Any],
        sequences: Sequences,
        openings: Openings,
        *,
        strict: bool = False,
    ) -> None:
        self._tx = tx
        self._strict = strict
        self._ops = ops
        self._keys = Keys(tx, sequences)
        self._openings = openings
        self._servings: dict[int, Serving] = {}
        self._names: dict[int, Name] = {}
        self.outcomes: list[Any] = [None] * len(ops)

    def apply(self) -> None:
        """Apply all of them, and write."""
        self._look_up()
        for at, op in enumerate(self._ops):
            if type(op) is not Serve:
                self.outcomes[at] = self._other(at, op)
        servings = self._servings.values()
        self._settle()
        for serving in servings:
            serving.hand_out()
        for serving in servings:
            serving.file()
        for at, serving in self._servings.items():
            self.outcomes[at] = serving.outcomes()
        self._tx.write()

    def after(self) -> dict[int, After]:
        """The queues that were touched, as of the end of the batch."""
        return {account.id: _after(account) for account in self._tx.touched()}

    # -- keys

    def _look_up(self) -> None:
        keys = self._keys
        for at, op in enumerate(self._ops):
            if type(op) is Serve:
                account = self._tx.account(op.queue)
                if account is None:  # the row was replaced, and swept
                    self.outcomes[at] = (Served(why="moved"),) * len(op.asks)
                    continue
                serving = self._servings[at] = Serving(self._tx, keys, self._openings, op, account)
                serving.want()
            elif type(op) is Keyed:
                name = self._names[at] = self._name(op)
                keys.want(name, op.key)
        keys.look_up()
        for serving in self._servings.values():
            serving.rule()

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
        whole = [held for serving in self._servings.values() for held in serving.whole()]
        acked: dict[int, dict[str, list[Acked]]] = {}
        if len(whole) > 1:
            for queue, token in whole:
                acked.setdefault(queue, {})[token] = []
            for run in self._tx.runs.ack(whole, self._tx.now):
                acked[run.queue][run.token].append(run)
        for at, serving in self._servings.items():
            serving.settle(acked.get(self._ops[at].queue, {}))

    # -- all ops but Serve

    def _other(self, at: int, op: Any) -> Any:
        if type(op) is not Keyed:
            return self._done(op)
        ruling = self._keys.rule(self._names[at], op.key, self, at)
        if isinstance(ruling, Leader):
            return Replay(ruling.owner.outcome(ruling.at))
        if isinstance(ruling, str):
            return Refusal(ruling)
        return self._run(at, op, ruling)

    def _done(self, op: Any) -> Any:
        try:
            return self._handler(op)(self._tx, op)
        except NotAsExpected as error:  # nothing was changed; the others go on
            if self._strict:
                raise
            return error.conflict

    def _run(self, at: int, keyed: Keyed, known: Answer | None) -> Any:
        """Run an op for its key; a long one that is filed unfinished goes on from there."""
        op: Any = keyed.op
        if known is not None:
            before = filed.read(known)
            if not isinstance(before, Moved) or before.rest is None:
                return Replay(before)
            op = replace(op, part=before)
            self._keys.lead(self._names[at], keyed.key, self, at)
        outcome = self._done(op)
        if _changed(op, outcome):
            self._file(keyed, outcome)
        return outcome

    def _file(self, keyed: Keyed, outcome: Any) -> None:
        """File an outcome, with the queue as it is now: a definition may have made or reset it."""
        of: Any = keyed.op
        account = self._tx.account(outcome.id if isinstance(of, Define) else of.queue)
        if account is None:
            return
        ttl = account.settings.key_ttl
        key: Key = keyed.key
        self._keys.file(
            Name(account.root, account.generation, key.caller, key.text),
            key,
            keyed.ttl if ttl is None else ttl,
            filed.of_other(outcome),
            None,
        )

    @staticmethod
    def _handler(op: Any) -> Callable[[Transaction, Any], Any]:
        handler = HANDLERS.get(type(op))
        if handler is None:
            raise OpFailed(f"no engine knows what a {type(op).__name__} is")
        return handler

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


def _after(account: Account) -> After:
    """A queue as of the end of a batch."""
    return After(
        account.id,
        account.edition,
        account.cursor,
        account.ending,
        account.failure,
        account.paused,
        account.deleted,
        account.due if account.inside > account.dead else None,
        account.over,
    )
