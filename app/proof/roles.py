"""The roles of clients: a taker, a producer, a consumer that by plan crashes, is late, or gives back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from .calls import Next, exchange, lease_of, push, settled, take
from .client import Client, Signals
from .plan import Jobs, is_poison, value_of
from .records import Do, Entry, Lease, Note
from .spans import ranges

_PUSHED_AT_ONCE = 100
_LATER = 20_000_000
"""How long after its lease has ended a late one settles, in nanoseconds."""

_WAIT = 0.25


class Quota:
    """The items that are still to be asked for, or pushed; None: any number. All clients share it."""

    def __init__(self, signals: Signals, total: int | None) -> None:
        self._signals = signals
        self._left = total
        self._claimed = 0
        self._lock = threading.Lock()

    def finish(self) -> None:
        """Let nobody claim more."""
        with self._lock:
            self._left = 0

    def claim(self, most: int) -> range:
        """The numbers of the next items, up to ``most``; none when enough were claimed."""
        with self._lock:
            size = most if self._left is None else min(most, self._left)
            if self._signals.stopping:
                return range(0)
            self._left = None if self._left is None else self._left - size
            self._claimed += size
            return range(self._claimed - size + 1, self._claimed + 1)

    def give_back(self, items: int) -> None:
        """Let another request ask for items that were claimed and not handed out."""
        with self._lock:
            self._left = None if self._left is None else self._left + items


class Taker:
    """Takes items until enough were asked for."""

    def __init__(self, client: Client, quota: Quota) -> None:
        self.client = client
        self.items = 0
        self.also: Counter[str] = Counter()
        self._quota = quota

    def live(self) -> None:
        """Take until enough was taken."""
        count = self.client.signals.plan.count
        while wanted := len(self._quota.claim(count)):
            answer = self.client.ask(take(wanted))
            got = len(answer["values"]) if answer else 0
            self.items += got
            if got < wanted:
                self._quota.give_back(wanted - got)


class Producer:
    """Pushes jobs in parts, and now and then a part again, which the server must know then."""

    items = 0

    def __init__(self, client: Client, jobs: Jobs, quota: Quota) -> None:
        self.client = client
        self.done = False
        self.also: Counter[str] = Counter()
        self._jobs = jobs
        self._quota = quota
        self._random = jobs.random(client.name)

    def live(self) -> None:
        """Push until enough is pushed."""
        try:
            while numbers := self._quota.claim(_PUSHED_AT_ONCE):
                again = self._random.random() < self._jobs.again
                call = push([self._item(number, named=again) for number in numbers])
                if self.client.ask(call) is None or (again and self.client.ask(call) is None):
                    return
        finally:
            self.done = True

    def _item(self, number: int, *, named: bool) -> dict[str, Any]:
        """The item of a job: one in two has a key, one in five a priority, one in twenty a delay."""
        item: dict[str, Any] = {"value": value_of(number)}
        dice = self._random.random()
        if number % 2 or named:
            item["key"] = f"{self.client.signals.run}-job-{number}"
        if dice < 0.2:  # noqa: PLR2004
            item["priority"] = int(dice * 50)
        if dice > 0.95:  # noqa: PLR2004
            item["delay"] = round(dice - 0.9, 3)
        return item


class Consumer:
    """Leases, works, settles with the next lease; also the consumers that take its place when it crashes.

    ``is_drained`` tells whether nothing is left to consume, for good; it is asked when nothing was given.
    """

    def __init__(self, client: Client, jobs: Jobs, is_drained: Callable[[], bool]) -> None:
        self.client = client
        self.items = 0
        self.also: Counter[str] = Counter()
        self._place = client.name
        self._jobs = jobs
        self._is_drained = is_drained
        self._random = jobs.random(client.name)
        self._ttl = int(jobs.ttl * 1e9)
        self._hand: list[Entry] = []
        self._rest: list[Entry] = []
        self._late: list[tuple[int, Entry]] = []

    def live(self) -> None:
        """Consume until nothing is left."""
        while True:
            entries = [*self._hand, *self._overdue()]
            if not entries and self.client.signals.stopping:
                return
            self._hand, self._rest = self._rest, []
            answer = self._exchange(entries, idle=not entries)
            if answer is None:
                return
            lease = lease_of(answer)
            if lease is not None:
                self._take(lease)
            elif not (self._hand or entries) and not self._late and self._is_drained():
                return

    def _exchange(self, entries: list[Entry], *, idle: bool) -> Mapping[str, Any] | None:
        signals = self.client.signals
        lease = Next(signals.plan.count, self._jobs.ttl, _WAIT if idle else 0.0, self.client.name)
        answer = self.client.ask(exchange(entries, None if signals.stopping else lease), timed=not idle)
        done = settled(answer) if answer else {}
        self.items += done.get("acked", 0) + done.get("dead", 0)
        return answer

    def _overdue(self) -> list[Entry]:
        """The entries that were to be settled too late, and are due now."""
        now = self.client.signals.clock()
        due = [entry for at, entry in self._late if at <= now]
        self._late = [(at, entry) for at, entry in self._late if at > now]
        return due

    def _take(self, lease: Lease) -> None:
        """Decide what becomes of a lease."""
        self.also["redelivered"] += sum(attempt > 1 for attempt in lease.attempts)
        jobs, dice = self._jobs, self._random.random()
        if dice < jobs.crash:
            self._crash(lease)
        elif dice < jobs.crash + jobs.late:
            self._be_late(lease)
        else:
            self._work(lease)

    def _crash(self, lease: Lease) -> None:
        """Forget all leases, as a crashed consumer does; another one takes its place."""
        held = [*self._hand, *self._rest, *(entry for _, entry in self._late)]
        self._note("crash", *{lease.token, *(entry.token for entry in held)})
        self.also["crashed"] += 1
        self.client.name = f"{self._place}.{self.also['crashed']}"
        self._hand, self._rest, self._late = [], [], []

    def _be_late(self, lease: Lease) -> None:
        """Settle after the lease has ended: every entry must then be stale."""
        self._note("late", lease.token)
        do = self._random.choice([Do.ACK, Do.ACK, Do.NACK, Do.EXTEND, Do.RELEASE])
        at = self.client.signals.clock() + max(lease.expires_in, 0) + _LATER
        self._late.append((at, Entry(do, lease.token, None, self._ttl)))

    def _work(self, lease: Lease) -> None:
        """Settle the whole lease; or a part now, and the rest, under a longer lease, with the next one."""
        whose = self._sorted(lease)
        if not whose[Do.NACK] and not whose[Do.RELEASE]:
            self._hand.append(Entry(Do.ACK, lease.token))
            return
        acks = whose[Do.ACK]
        if len(acks) > 1 and self._random.random() < self._jobs.partly:
            whose[Do.ACK], whose[Do.EXTEND] = acks[::2], acks[1::2]
            self._rest.append(Entry(Do.ACK, lease.token, tuple(ranges(whose[Do.EXTEND]))))
        self._hand += [
            Entry(do, lease.token, tuple(ranges(seqs)), self._ttl) for do, seqs in whose.items() if seqs
        ]

    def _sorted(self, lease: Lease) -> dict[Do, list[int]]:
        """The items by what the consumer does with them."""
        jobs = self._jobs
        whose: dict[Do, list[int]] = {Do.ACK: [], Do.NACK: [], Do.EXTEND: [], Do.RELEASE: []}
        for seq, value in sorted(zip(lease.seqs, lease.values, strict=True), key=lambda item: item[0]):
            dice = self._random.random()
            fails = is_poison(value) or dice < jobs.nack
            do = Do.NACK if fails else Do.RELEASE if dice < jobs.nack + jobs.release else Do.ACK
            whose[do].append(seq)
        return whose

    def _note(self, what: Literal["crash", "late"], *tokens: str) -> None:
        now = self.client.signals.clock()
        for token in tokens:
            self.client.signals.history.note(Note(what, now, now, self.client.name, token))


Role = Taker | Producer | Consumer
