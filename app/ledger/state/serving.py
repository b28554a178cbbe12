"""One Serve in its transaction: its keys, then its entries, then its hand-outs, then what is filed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..serve import Handed, HandOut, Key, Serve, Served, Why
from ..work import UNCHANGED, Entry, Settled
from . import claims, filed, history, settling, verdicts, waiting
from .accounts import Account
from .fresh import Fresh
from .keys import Case, Keys, Leader
from .rows import Acked, Answer, Name
from .settling import Settling
from .transaction import Transaction

Entries = tuple[tuple[Settled, ...], ...]

# As their own constructors do, in a third of the time.
_served: Callable[[Any], Served] = partial(tuple.__new__, Served)
_name: Callable[[Any], Name] = partial(tuple.__new__, Name)


class Serving:
    """Serves the asks of one queue. ``keyed``: those with keys, and what their answers are filed under.

    ``settles``: some have entries to settle. ``out``: what came of each ask, None until it is known.
    ``_entries``: what became of the entries of an ask, settled here or before. ``_filed``: the asks whose
    entries were filed before. ``_running``: the asks with keys whose answers are filed if they change
    something. ``after``: the asks that get what came of another.
    """

    def __init__(self, tx: Transaction, op: Serve, account: Account) -> None:
        self._tx = tx
        self._op = op
        self._account = account
        self._asks = asks = op.asks
        self.out: list[Served | None] = [None] * len(asks)
        self._entries: dict[int, Entries] = {}
        self._filed: set[int] = set()
        self._keys: Keys | None = None
        self._running: dict[int, Case] = {}
        self.after: list[tuple[int, Leader]] = []
        self._todo: list[int] = []
        self.keyed: dict[int, tuple[Name, Key]] = {}
        self.settles = False
        for at, (_, entries, key, _, settled, _) in enumerate(asks):
            if key is not None:
                text, _, _, caller = key
                self.keyed[at] = _name((account.root, account.generation, caller, text)), key
            if settled is not None:
                self._entries[at] = settled
            elif entries:
                self.settles = True

    # -- keys

    def rule(self, keys: Keys) -> None:
        """Answer the asks whose keys are known; note which others run for theirs."""
        self._keys = keys
        for at, (name, key) in self.keyed.items():
            case = keys.cases[name]
            ruling = keys.rule(case, key, self, at)
            if ruling is None or not self._known(at, case, ruling):
                self._running[at] = case

    def _known(self, at: int, case: Case, ruling: Why | Answer | Leader) -> bool:
        """Answer an ask whose key is known; False if it has to be run nevertheless."""
        if isinstance(ruling, Leader):
            self.after.append((at, ruling))
            self.out[at] = Served()  # until the other one is known
        elif isinstance(ruling, str):
            self.out[at] = Served(why=ruling)
        else:
            self.out[at] = served = self._replay(at, ruling)
            if served is None:
                case.leader = Leader(self.keyed[at][1], self, at)
                return False
        return True

    def _replay(self, at: int, answer: Answer) -> Served | None:
        """What is filed; None for a settling whose lease is still to be handed out."""
        served = filed.read(answer)
        if not isinstance(served, Served):
            return Served(why="key-reused")
        if self._asks[at].handout is None or served.handed is not None:
            return served
        if answer.outcome.startswith("{") and (later := self._later(at)) is not None:
            return served._replace(handed=later)
        self._entries[at] = served.entries
        self._filed.add(at)
        return None

    def _later(self, at: int) -> Handed | None:
        """The lease that 0.3 filed beside the settling which had waited for it."""
        name, _ = self.keyed[at]
        assert self._keys is not None  # noqa: S101  # it has ruled on this ask
        answer = self._keys.case(name._replace(key=name.key + filed.LATER)).answer
        if answer is None or not answer.sound or answer.expires <= self._tx.now:
            return None
        served = filed.read(answer)
        return served.handed if isinstance(served, Served) else None

    def supersede(self, at: int) -> None:
        """A later request of the same session is in the batch: this one is not run."""
        self.out[at] = Served(why="key-superseded")
        del self._running[at]
        self._entries.pop(at, None)

    # -- entries

    def whole(self) -> list[tuple[int, str]]:
        """The tokens, with their queue, whose items can be acked ahead of all other entries."""
        if self._account.deleted:
            return []
        entries: list[Entry] = []
        for at, ask in enumerate(self._asks):
            if ask.entries and self.out[at] is None and at not in self._entries:
                self._todo.append(at)
                entries += ask.entries
        return settling.whole(self._account.id, entries)

    def settle(self, acked: Mapping[str, list[Acked]]) -> None:
        """Settle the entries of all asks, in their order; some tokens have ``acked`` all ahead."""
        asks, entries = self._asks, self._entries
        if self._account.deleted:
            for at, ask in enumerate(asks):
                entries.setdefault(at, verdicts.stale(ask.entries))
        if not self._todo:
            return
        desk = Settling(self._tx, self._account, self._op.item_key_ttl, acked)
        for at in self._todo:
            ask = asks[at]
            entries[at] = desk.settle(ask)
        desk.write()

    # -- hand-outs

    def hand_out(self) -> None:
        """Hand items out to all asks, in their order; then all is known."""
        account, out, entries, before = self._account, self.out, self._entries, self._filed
        if account.deleted:
            why: Why = "deleted" if self._tx.named(account.name) is account else "moved"
            self._refuse([at for at, known in enumerate(out) if known is None], why)
            return
        fresh, state = Fresh(self._tx, account, self._op), account.state
        wanted: list[tuple[int, HandOut]] = []
        for at, ask in enumerate(self._asks):
            if out[at] is not None:
                continue
            if (handout := ask.handout) is not None:
                wanted.append((at, handout))
            else:
                out[at] = _served((entries.get(at, ()), None, None, state, False, at in before))
        if account.paused:
            self._refuse([at for at, _ in wanted], "paused")
        elif wanted:
            self._give(wanted, fresh, state)

    def _refuse(self, asks: list[int], why: Why) -> None:
        state, entries, before = self._account.state, self._entries, self._filed
        for at in asks:
            self.out[at] = Served(entries.get(at, ()), None, why, state, at in before)

    def _give(self, wanted: list[tuple[int, HandOut]], fresh: Fresh, state: str) -> None:
        """Waiting items to the first of the asks but blocks, then fresh ones to the others."""
        account, out, entries, before = self._account, self.out, self._entries, self._filed
        if account.due <= self._tx.now and account.claimable(self._tx.now):
            wanted, state = self._wait(wanted), account.state
        grant = fresh.grant
        for n, (at, handout) in enumerate(wanted):
            if not fresh.left:
                self._refuse([at for at, _ in wanted[n:]], fresh.why())
                wanted = wanted[:n]
                break
            handed = grant(handout)
            if not fresh.left:
                state = account.state
            out[at] = _served((entries.get(at, ()), handed, None, state, False, at in before))
        if fresh.drawn is not None:
            fresh.write()
        if account.history:
            self._note(wanted)

    def _note(self, granted: list[tuple[int, HandOut]]) -> None:
        """Write the history of fresh items that were handed out for good."""
        for at, _ in granted:
            served, ask = self.out[at], self._asks[at]
            if served is not None and served.handed is not None and served.handed.token is None:
                [span] = served.handed.spans
                history.record(self._tx, self._account, "taken", [(span.first, span.last, "")], ask)

    def _wait(self, wanted: list[tuple[int, HandOut]]) -> list[tuple[int, HandOut]]:
        """Give what waits to asks in their order, but not to blocks; the asks that are left for fresh items.

        Where a bound stopped the claim, they are for the next batch.
        """
        asks, account, out = self._asks, self._account, self.out
        entries, before = self._entries, self._filed
        takers = [at for at, handout in wanted if not handout.block]
        if not takers and account.ending is not None:
            claims.bury_all(self._tx, account, claims.BURY_RUNS)  # whether anything is left is asked
        given = waiting.hand_out(self._tx, account, [asks[at] for at in takers])
        state = account.state
        for at, handed in zip(takers, given, strict=False):
            out[at] = _served((entries.get(at, ()), handed, None, state, False, at in before))
        if len(given) < len(takers) and account.claimable(self._tx.now):
            self._refuse(takers[len(given) :], "empty")
        return [(at, handout) for at, handout in wanted if out[at] is None]

    # -- what is filed

    def file(self) -> None:
        """File what changed something, under its key."""
        account, asks, out = self._account, self._asks, self.out
        if self._keys is None:
            return
        file, own = self._keys.file, account.settings.key_ttl
        ttl = self._op.key_ttl if own is None else own
        computed = filed.computed_by(account.source, account.args)
        for at, case in self._running.items():
            served = out[at]
            assert served is not None  # noqa: S101  # all are known by now
            if served.handed is not None or (
                served.entries and at not in self._filed and asks[at].settled is None and _settled(served)
            ):
                file(case, self.keyed[at][1], ttl, *filed.of_served(served, computed))

    def outcome(self, at: int) -> Any:
        """What came of an ask, as another one with its key gets it."""
        served = self.out[at]
        return None if served is None else filed.again(served, self._account.source, self._account.args)

    def follow(self) -> None:
        """Answer the asks that get what came of another."""
        for at, (_, owner, of) in self.after:
            found = owner.outcome(of)
            self.out[at] = found if isinstance(found, Served) else Served(why="key-reused")


def _settled(served: Served) -> bool:
    """Whether some of the entries changed something."""
    return any(part.verdict not in UNCHANGED for entry in served.entries for part in entry)
