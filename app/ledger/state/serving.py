"""One Serve in its transaction: its keys, then its entries, then its hand-outs, then what is filed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ops import OpFailed
from ..serve import Ask, Handed, HandOut, Serve, Served, Why
from ..work import Settled, Span
from . import claims, filed, settling, verdicts, waiting
from .accounts import Account
from .fresh import Fresh, Openings
from .history import record
from .keys import Keys, Leader
from .rows import Acked, Answer, Name
from .settling import Settling
from .transaction import Transaction

Entries = tuple[tuple[Settled, ...], ...]

NOBODY = ("", None)


class Serving:
    """Serves the asks of one queue. ``_out``: what came of each, None until it is known.

    ``_entries``: what became of the entries of an ask, settled here or before. ``_running``: the asks with
    keys whose answers are filed if they change something. ``_after``: the asks that get what came of another.
    """

    __slots__ = (
        "_account",
        "_after",
        "_entries",
        "_filed",
        "_keys",
        "_op",
        "_openings",
        "_out",
        "_running",
        "_todo",
        "_tx",
    )

    def __init__(self, tx: Transaction, keys: Keys, openings: Openings, op: Serve) -> None:
        account = tx.account(op.queue)
        if account is None:
            raise OpFailed(f"there is no queue {op.queue}")
        self._tx = tx
        self._keys = keys
        self._openings = openings
        self._op = op
        self._account: Account = account
        self._out: list[Served | None] = [None] * len(op.asks)
        self._entries: dict[int, Entries] = {}
        self._filed: dict[int, Entries] = {}
        self._running: dict[int, Name] = {}
        self._todo: list[int] = []  # asks with entries to settle
        self._after: list[tuple[int, Leader]] = []

    # -- keys

    def want(self) -> None:
        """Ask for what is filed under the keys."""
        for ask in self._op.asks:
            if ask.key is not None:
                self._keys.want(self._name(ask), ask.key)

    def _name(self, ask: Ask) -> Name:
        account, key = self._account, ask.key
        assert key is not None  # noqa: S101  # who has none is not looked up
        return Name(account.root, account.generation, key.caller, key.text)

    def rule(self) -> None:
        """Answer the asks whose keys are known; note which others run for theirs."""
        for at, ask in enumerate(self._op.asks):
            if ask.key is not None:
                self._rule(at, ask)
            elif ask.settled is not None:
                self._entries[at] = ask.settled

    def _rule(self, at: int, ask: Ask) -> None:
        key, name = ask.key, self._name(ask)
        assert key is not None  # noqa: S101
        ruling = self._keys.rule(name, key)
        if isinstance(ruling, Leader):
            self._after.append((at, ruling))
            self._out[at] = Served()  # until the other one is known
            return
        if isinstance(ruling, str):
            self._out[at] = Served(why=ruling)
            return
        if ruling is not None and self._replay(at, ask, name, ruling):
            return
        if ask.settled is not None and at not in self._entries:
            self._entries[at] = ask.settled
        self._running[at] = name
        self._keys.lead(name, key, self, at)

    def _replay(self, at: int, ask: Ask, name: Name, ruling: Answer) -> bool:
        """Answer with what is filed, unless that is a settling whose lease is still to be handed out."""
        served = filed.read(ruling)
        if not isinstance(served, Served):
            self._out[at] = Served(why="key-reused")
            return True
        if ask.handout is not None and served.handed is None:
            later = self._later(name) if ruling.outcome.startswith("{") else None
            if later is None:
                self._entries[at] = self._filed[at] = served.entries
                return False
            served = served._replace(handed=later)
        self._out[at] = served
        return True

    def _later(self, name: Name) -> Handed | None:
        """The lease that 0.3 filed beside the settling which had waited for it."""
        later = self._keys.find(name._replace(key=name.key + filed.LATER))
        served = None if later is None else filed.read(later)
        return served.handed if isinstance(served, Served) else None

    def supersede(self, at: int) -> None:
        """A later request of the same session is in the batch: this one is not run."""
        self._out[at] = Served(why="key-superseded")
        del self._running[at]
        self._entries.pop(at, None)

    # -- entries

    def whole(self) -> list[tuple[int, str]]:
        """The tokens, with their queue, whose items can be acked ahead of all other entries."""
        if self._account.deleted:
            return []
        asks = self._op.asks
        self._todo = [
            at
            for at, known in enumerate(self._out)
            if known is None and asks[at].entries and at not in self._entries
        ]
        queue = self._account.id
        entries = [entry for at in self._todo for entry in asks[at].entries]
        return [(queue, token) for token in settling.whole(entries)]

    def settle(self, acked: Mapping[str, list[Acked]]) -> None:
        """Settle the entries of all asks, in their order; some tokens have ``acked`` all ahead."""
        asks = self._op.asks
        if self._account.deleted:
            for at, ask in enumerate(asks):
                self._entries.setdefault(at, verdicts.stale(ask.entries))
        if not self._todo:
            return
        desk = Settling(self._tx, self._account, self._op.item_key_ttl, acked)
        for at in self._todo:
            ask = asks[at]
            self._entries[at] = desk.settle(ask.entries, ask.chance, _whose(ask))
        desk.write()

    # -- hand-outs

    def hand_out(self) -> None:
        """Hand items out to all asks, in their order; then all is known."""
        account, asks, out = self._account, self._op.asks, self._out
        if account.deleted:
            self._refuse([at for at, known in enumerate(out) if known is None], "deleted")
            return
        fresh = Fresh(self._tx, account, self._op, self._openings)
        state = account.state
        wanted: list[int] = []
        for at, known in enumerate(out):
            if known is None and asks[at].handout is not None:
                wanted.append(at)
            elif known is None:
                out[at] = Served(self._entries.get(at, ()), None, None, state)
        if account.paused:
            self._refuse(wanted, "paused")
        elif wanted:
            self._give(wanted, fresh)

    def _refuse(self, asks: list[int], why: Why) -> None:
        state, filed_ = self._account.state, self._filed
        for at in asks:
            self._out[at] = Served(self._entries.get(at, ()), None, why, state, at in filed_)

    def _give(self, wanted: list[int], fresh: Fresh) -> None:
        """Waiting items to the first of the asks but blocks, then fresh ones to the others."""
        asks, account = self._op.asks, self._account
        if account.claimable(self._tx.now):
            numbers = [at for at in wanted if not _handout(asks[at]).block]
            if not numbers and account.ending is not None:
                claims.bury_all(self._tx, account, claims.BURY_RUNS)  # whether anything is left is asked
            given = self._wait(numbers)
            wanted = [at for at in wanted if self._out[at] is None]
            if len(given) < len(numbers) and account.claimable(self._tx.now):
                self._refuse(numbers[len(given) :], "empty")  # a bound stopped the claim: the next batch
                wanted = [at for at in wanted if self._out[at] is None]
        for n, at in enumerate(wanted):
            if not fresh.left:
                self._refuse(wanted[n:], fresh.why())
                break
            self._grant(at, fresh)
        fresh.write()

    def _wait(self, asks: list[int]) -> list[Handed]:
        all_ = self._op.asks
        given = waiting.hand_out(
            self._tx, self._account, [(_handout(all_[at]), _whose(all_[at])) for at in asks]
        )
        state, entries = self._account.state, self._entries
        for at, handed in zip(asks, given, strict=False):
            self._out[at] = Served(entries.get(at, ()), handed, None, state)
        return given

    def _grant(self, at: int, fresh: Fresh) -> None:
        account, ask = self._account, self._op.asks[at]
        handout = _handout(ask)
        if handout.block and self._op.length is None:
            raise OpFailed(f"the source of queue {account.id} is not computed: no blocks")
        first, last, texts, due = fresh.grant(handout)
        holder = handout.holder
        handed = Handed(
            (Span(first, last),), texts, None if holder is None else holder.token, due, None, True
        )
        if holder is None and account.history:
            record(self._tx, account, "taken", [(first, last, "")], _whose(ask))
        self._out[at] = Served(self._entries.get(at, ()), handed, None, account.state)

    # -- what is filed

    def file(self) -> None:
        """File what changed something, under its key."""
        account = self._account
        ttl = account.settings.key_ttl
        for at, name in self._running.items():
            served, ask = self._out[at], self._op.asks[at]
            assert served is not None  # noqa: S101  # all are known by now
            assert ask.key is not None  # noqa: S101
            before = at in self._filed or ask.settled is not None  # its entries
            if served.handed is not None or (not before and _settled(served)):
                text, values = filed.of_served(served, account.source, account.args)
                self._keys.file(name, ask.key, self._op.key_ttl if ttl is None else ttl, text, values)

    def outcome(self, at: int) -> Any:
        """What came of an ask, as another one with its key gets it."""
        served = self._out[at]
        return None if served is None else filed.again(served, self._account.source, self._account.args)

    def outcomes(self) -> tuple[Served, ...]:
        """What came of each ask, in order."""
        for at, (_, owner, of) in self._after:
            found = owner.outcome(of)
            self._out[at] = found if isinstance(found, Served) else Served(why="key-reused")
        return tuple([served for served in self._out if served is not None])


def _handout(ask: Ask) -> HandOut:
    assert ask.handout is not None  # noqa: S101  # who asks for nothing is not asked
    return ask.handout


def _whose(ask: Ask) -> tuple[str, str | None]:
    """The caller and the key of an ask, for the history."""
    return NOBODY if ask.key is None else (ask.key.caller, ask.key.text)


def _settled(served: Served) -> bool:
    """Whether some of the entries changed something."""
    return any(part.verdict not in {"stale", "refused"} for entry in served.entries for part in entry)
