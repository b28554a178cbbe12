"""One Serve in its transaction: its keys, then its entries, then its hand-outs, then what is filed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..serve import Ask, Handed, HandOut, Key, Serve, Served, Why
from ..work import Settled
from . import claims, filed, history, settling, verdicts, waiting
from .accounts import Account
from .fresh import Fresh, Openings
from .keys import Keys, Leader
from .rows import Acked, Answer, Name
from .settling import Settling
from .transaction import Transaction

Entries = tuple[tuple[Settled, ...], ...]

# As their own constructors do, in a third of the time.
_served: Callable[[Any], Served] = partial(tuple.__new__, Served)
_name: Callable[[Any], Name] = partial(tuple.__new__, Name)


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
        "_names",
        "_op",
        "_openings",
        "_out",
        "_running",
        "_todo",
        "_tx",
    )

    def __init__(self, tx: Transaction, keys: Keys, openings: Openings, op: Serve, account: Account) -> None:
        self._tx = tx
        self._keys = keys
        self._openings = openings
        self._op = op
        self._account = account
        self._out: list[Served | None] = [None] * len(op.asks)
        self._entries: dict[int, Entries] = {}
        self._filed: dict[int, Entries] = {}
        self._names: dict[int, Name] = {}  # of the asks with keys
        self._running: dict[int, Name] = {}
        self._todo: list[int] = []  # asks with entries to settle
        self._after: list[tuple[int, Leader]] = []

    # -- keys

    def want(self) -> None:
        """Ask for what is filed under the keys."""
        account, names, want = self._account, self._names, self._keys.want
        root, generation = account.root, account.generation
        for at, ask in enumerate(self._op.asks):
            if (key := ask.key) is not None:
                names[at] = name = _name((root, generation, key.caller, key.text))
                want(name, key)
            elif ask.settled is not None:
                self._entries[at] = ask.settled

    def rule(self) -> None:
        """Answer the asks whose keys are known; note which others run for theirs."""
        asks, rule = self._op.asks, self._keys.rule
        for at, name in self._names.items():
            ask = asks[at]
            ruling = rule(name, _key(ask), self, at)
            if ruling is not None and self._known(at, ask, name, ruling):
                continue
            if ask.settled is not None:
                self._entries.setdefault(at, ask.settled)
            self._running[at] = name

    def _known(self, at: int, ask: Ask, name: Name, ruling: Why | Answer | Leader) -> bool:
        """Answer an ask whose key is known; False if it has to be run nevertheless."""
        if isinstance(ruling, Leader):
            self._after.append((at, ruling))
            self._out[at] = Served()  # until the other one is known
            return True
        if isinstance(ruling, str):
            self._out[at] = Served(why=ruling)
            return True
        if self._replay(at, ask, name, ruling):
            return True
        self._keys.lead(name, _key(ask), self, at)
        return False

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
        asks = self._op.asks
        if self._account.deleted:
            return []
        self._todo = [
            at
            for at, known in enumerate(self._out)
            if known is None and asks[at].entries and at not in self._entries
        ]
        if self._account.history:
            return []  # it tells by which key
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
        desk = Settling(self._tx, self._account, self._op.item_key_ttl)
        desk.acked(acked)
        for at in self._todo:
            ask = asks[at]
            self._entries[at] = desk.settle(ask.entries, ask.chance, history.whose(ask))
        desk.write()

    # -- hand-outs

    def hand_out(self) -> None:
        """Hand items out to all asks, in their order; then all is known."""
        account, asks, out = self._account, self._op.asks, self._out
        if account.deleted:
            why: Why = "deleted" if self._tx.named(account.name) is account else "moved"
            self._refuse([at for at, known in enumerate(out) if known is None], why)
            return
        fresh = Fresh(self._tx, account, self._op, self._openings)
        state, entries = account.state, self._entries
        wanted: list[int] = []
        for at, known in enumerate(out):
            if known is not None:
                continue
            if asks[at].handout is not None:
                wanted.append(at)
            else:
                out[at] = _served((entries.get(at, ()), None, None, state, False))
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
        asks, account, out, entries = self._op.asks, self._account, self._out, self._entries
        if account.claimable(self._tx.now):
            wanted = self._wait(wanted)
        grant, state = fresh.grant, account.state
        for n, at in enumerate(wanted):
            if not fresh.left:
                self._refuse(wanted[n:], fresh.why())
                wanted = wanted[:n]
                break
            handed = grant(_handout(asks[at]))
            if not fresh.left:
                state = account.state
            out[at] = _served((entries.get(at, ()), handed, None, state, False))
        fresh.write()
        if account.history:
            self._note(wanted)

    def _note(self, granted: list[int]) -> None:
        """Write the history of fresh items that were handed out for good."""
        for at in granted:
            served, ask = self._out[at], self._op.asks[at]
            if served is not None and served.handed is not None and served.handed.token is None:
                [span] = served.handed.spans
                history.record(
                    self._tx, self._account, "taken", [(span.first, span.last, "")], history.whose(ask)
                )

    def _wait(self, wanted: list[int]) -> list[int]:
        """Give what waits to asks in their order, but not to blocks; the asks that are left for fresh items.

        Where a bound stopped the claim, they are for the next batch.
        """
        asks, account, out, entries = self._op.asks, self._account, self._out, self._entries
        takers = [at for at in wanted if not _handout(asks[at]).block]
        if not takers and account.ending is not None:
            claims.bury_all(self._tx, account, claims.BURY_RUNS)  # whether anything is left is asked
        given = waiting.hand_out(self._tx, account, [asks[at] for at in takers])
        state = account.state
        for at, handed in zip(takers, given, strict=False):
            out[at] = _served((entries.get(at, ()), handed, None, state, False))
        if len(given) < len(takers) and account.claimable(self._tx.now):
            self._refuse(takers[len(given) :], "empty")
        return [at for at in wanted if out[at] is None]

    # -- what is filed

    def file(self) -> None:
        """File what changed something, under its key."""
        if not self._running:
            return
        account, asks, out, file = self._account, self._op.asks, self._out, self._keys.file
        own = account.settings.key_ttl
        ttl = self._op.key_ttl if own is None else own
        computed = filed.computed_by(account.source, account.args)
        for at, name in self._running.items():
            served, ask = out[at], asks[at]
            assert served is not None  # noqa: S101  # all are known by now
            if served.handed is not None or (
                at not in self._filed and ask.settled is None and _settled(served)
            ):
                file(name, _key(ask), ttl, *filed.of_served(served, computed))

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


def _key(ask: Ask) -> Key:
    assert ask.key is not None  # noqa: S101  # who has none is not looked up
    return ask.key


def _settled(served: Served) -> bool:
    """Whether some of the entries changed something."""
    return any(part.verdict not in {"stale", "refused"} for entry in served.entries for part in entry)
