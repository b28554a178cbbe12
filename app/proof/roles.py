"""The roles of clients: a taker, a producer, a consumer that by plan crashes, is late, or gives back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal

from .calls import exchange, lease_of, push, take
from .client import Client
from .plan import Jobs, is_poison, value_of
from .records import Do, Entry, Lease, Note
from .values import ranges

_PUSHED_AT_ONCE = 100
_LATER = 20_000_000
"""How long after its lease has ended a late one settles, in nanoseconds."""

_WAIT = 0.25


class Taker:
    """Takes items until enough were asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def live(self) -> None:
        """Take until enough was taken."""
        signals = self._client.signals
        while wanted := len(signals.claim(signals.plan.count)):
            answer = self._client.ask(take(wanted))
            got = len(answer["values"]) if answer else 0
            self._client.counts["items"] += got
            if got < wanted:
                signals.give_back(wanted - got)


class Producer:
    """Pushes jobs in parts, and now and then a part again, which the server must know then."""

    def __init__(self, client: Client, jobs: Jobs) -> None:
        self._client = client
        self._jobs = jobs
        self._random = jobs.random(client.name)

    def live(self) -> None:
        """Push until enough is pushed."""
        while numbers := self._client.signals.claim(_PUSHED_AT_ONCE):
            again = self._random.random() < self._jobs.again
            call = push([self._item(number, named=again) for number in numbers])
            if self._client.ask(call) is None or (again and self._client.ask(call) is None):
                return

    def _item(self, number: int, *, named: bool) -> dict[str, Any]:
        """The item of a job: one in two has a key, one in five a priority, one in twenty a delay."""
        item: dict[str, Any] = {"value": value_of(number)}
        dice = self._random.random()
        if number % 2 or named:
            item["key"] = f"{self._client.signals.run}-job-{number}"
        if dice < 0.2:  # noqa: PLR2004
            item["priority"] = int(dice * 50)
        if dice > 0.95:  # noqa: PLR2004
            item["delay"] = round(dice - 0.9, 3)
        return item


class Consumer:
    """Leases, works, settles with the next lease; also the consumers that take its place when it crashes."""

    def __init__(self, client: Client, jobs: Jobs) -> None:
        self._client = client
        self._place = client.name
        self._jobs = jobs
        self._random = jobs.random(client.name)
        self._ttl = int(jobs.ttl * 1e9)
        self._hand: list[Entry] = []
        self._rest: list[Entry] = []
        self._late: list[tuple[int, Entry]] = []

    def live(self) -> None:
        """Consume until nothing is left."""
        while True:
            entries = [*self._hand, *self._overdue()]
            if not entries and self._client.signals.stopping:
                return
            self._hand, self._rest = self._rest, []
            answer = self._exchange(entries)
            if answer is None:
                return
            lease = lease_of(answer["lease"])
            if lease is not None:
                self._take(lease)
            elif not (self._hand or entries or self._late) and self._client.signals.drained:
                return

    def _exchange(self, entries: list[Entry]) -> Mapping[str, Any] | None:
        client, wait = self._client, 0.0 if entries else _WAIT
        lease = {"max": client.signals.plan.count, "ttl": self._jobs.ttl, "wait": wait, "worker": client.name}
        call = exchange(entries, None if client.signals.stopping else lease)
        answer = client.ask(call, timed=bool(entries))
        for first, last, verdict, *_ in chain.from_iterable(answer["outcomes"] if answer else ()):
            client.counts["items"] += last - first + 1 if verdict in {"acked", "dead"} else 0
        return answer

    def _overdue(self) -> list[Entry]:
        """The entries that were to be settled too late, and are due now."""
        now = self._client.signals.clock()
        due = [entry for at, entry in self._late if at <= now]
        self._late = [(at, entry) for at, entry in self._late if at > now]
        return due

    def _take(self, lease: Lease) -> None:
        """Decide what becomes of a lease."""
        self._client.counts["redelivered"] += sum(attempt > 1 for attempt in lease.attempts)
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
        self._client.counts["crashed"] += 1
        self._client.name = f"{self._place}.{self._client.counts['crashed']}"
        self._hand, self._rest, self._late = [], [], []

    def _be_late(self, lease: Lease) -> None:
        """Settle after the lease has ended: every entry must then be stale."""
        self._note("late", lease.token)
        do = self._random.choice([Do.ACK, Do.ACK, Do.NACK, Do.EXTEND, Do.RELEASE])
        at = self._client.signals.clock() + max(lease.expires_in, 0) + _LATER
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
        now = self._client.signals.clock()
        for token in tokens:
            self._client.signals.history.note(Note(what, now, now, self._client.name, token))
