"""A consumer: it leases, works, settles with the next lease; by plan it crashes, is late, or gives back."""

from __future__ import annotations

from typing import Literal

from .caller import Caller, WorkCrew
from .history import ranges
from .plan import is_poison
from .records import Do, Entry, Lease, Note
from .wire import Ask, WorkConnection, WorkReply, entry_body

_LATER = 20_000_000
"""How long after its lease has ended a late one settles, in nanoseconds."""

_WAIT = 0.25


class Consumer(Caller):
    """One consumer, and the consumers that take its place when it crashes."""

    def __init__(self, crew: WorkCrew, name: str, connection: WorkConnection) -> None:
        super().__init__(crew, name, connection)
        self.crashes = 0
        self.redelivered = 0
        self.settled: dict[str, int] = {}
        self._place = name
        self._hand: list[Entry] = []
        self._rest: list[Entry] = []
        self._late: list[tuple[int, Entry]] = []

    def live(self) -> None:
        """Consume until nothing is left."""
        while True:
            entries = [*self._hand, *self._overdue()]
            if not entries and self.crew.stopping:
                return
            self._hand, self._rest = self._rest, []
            reply = self._exchange(entries, idle=not entries)
            if reply is None:
                return
            if reply.lease is not None:
                self._take(reply.lease)
            elif not (self._hand or entries) and not self._late and self.crew.is_drained():
                return

    def _exchange(self, entries: list[Entry], *, idle: bool) -> WorkReply | None:
        plan = self.crew.plan
        ask = None if self.crew.stopping else Ask(plan.count, plan.ttl, _WAIT if idle else 0.0, self.name)
        asked = {
            "op": "work",
            "entries": [entry_body(entry) for entry in entries],
            "max": ask.most if ask else 0,
            "ttl": ask.ttl if ask else 0,
        }
        reply = self.ask(asked, lambda key: self.connection.work(entries, ask, key), timed=not idle)
        for verdict, count in (reply.settled if reply else {}).items():
            self.settled[verdict] = self.settled.get(verdict, 0) + count
        return reply

    def _overdue(self) -> list[Entry]:
        """The entries that were to be settled too late, and are due now."""
        now = self.crew.clock()
        due = [entry for at, entry in self._late if at <= now]
        self._late = [(at, entry) for at, entry in self._late if at > now]
        return due

    def _take(self, lease: Lease) -> None:
        """Decide what becomes of a lease."""
        self.redelivered += sum(attempt > 1 for attempt in lease.attempts)
        plan, dice = self.crew.plan, self.random.random()
        if dice < plan.crash:
            self._crash(lease)
        elif dice < plan.crash + plan.late:
            self._be_late(lease)
        else:
            self._work(lease)

    def _crash(self, lease: Lease) -> None:
        """Forget all leases, as a crashed consumer does; another one takes its place."""
        held = [*self._hand, *self._rest, *(entry for _, entry in self._late)]
        self._note("crash", *{lease.token, *(entry.token for entry in held)})
        self.crashes += 1
        self.name = f"{self._place}.{self.crashes}"
        self._hand, self._rest, self._late = [], [], []

    def _be_late(self, lease: Lease) -> None:
        """Settle after the lease has ended: every entry must then be stale."""
        self._note("late", lease.token)
        do = self.random.choice([Do.ACK, Do.ACK, Do.NACK, Do.EXTEND, Do.RELEASE])
        at = self.crew.clock() + max(lease.expires_in, 0) + _LATER
        self._late.append((at, Entry(do, lease.token, None, int(self.crew.plan.ttl * 1e9))))

    def _work(self, lease: Lease) -> None:
        """Settle the whole lease; or a part now, and the rest, under a longer lease, with the next one."""
        plan, whose = self.crew.plan, self._sorted(lease)
        if not whose[Do.NACK] and not whose[Do.RELEASE]:
            self._hand.append(Entry(Do.ACK, lease.token))
            return
        acks = whose[Do.ACK]
        if len(acks) > 1 and self.random.random() < plan.partly:
            whose[Do.ACK], whose[Do.EXTEND] = acks[::2], acks[1::2]
            self._rest.append(Entry(Do.ACK, lease.token, tuple(ranges(whose[Do.EXTEND]))))
        ttl = int(plan.ttl * 1e9)
        self._hand += [Entry(do, lease.token, tuple(ranges(seqs)), ttl) for do, seqs in whose.items() if seqs]

    def _sorted(self, lease: Lease) -> dict[Do, list[int]]:
        """The items by what the consumer does with them."""
        plan = self.crew.plan
        whose: dict[Do, list[int]] = {Do.ACK: [], Do.NACK: [], Do.EXTEND: [], Do.RELEASE: []}
        for seq, value in sorted(zip(lease.seqs, lease.values, strict=True), key=lambda item: item[0]):
            dice = self.random.random()
            fails = is_poison(value) or dice < plan.nack
            do = Do.NACK if fails else Do.RELEASE if dice < plan.nack + plan.release else Do.ACK
            whose[do].append(seq)
        return whose

    def _note(self, what: Literal["crash", "late"], *tokens: str) -> None:
        now = self.crew.clock()
        for token in tokens:
            self.crew.history.note(Note(what, now, now, self.name, token))
