"""The crowd of a load test: its clients as threads, the sums of what they did, and when nothing is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from .client import Client, Signals
from .errors import HarnessFault
from .history import HistoryWriter
from .plan import Jobs, Plan
from .roles import Consumer, Producer, Quota, Role, Taker
from .wire import Connection, tls_for

_LOOK_EVERY = 0.25
_RECENT = 32


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of the crowd so far. ``items`` are those that are done: taken, or acked or dead.

    Latencies are nanoseconds, of answered requests only. ``also`` has further numbers for people, by name.
    """

    items: int
    answers: int
    replays: int
    refused: int
    lost: int
    recent: list[int]
    also: Mapping[str, int] = field(default_factory=dict)


class Crowd:
    """Runs the clients of one load test.

    Args:
        plan: The load to make.
        queue: The queue to ask.
        history: The writer that gets each request.
        left: Asks the server how many items are left to consume; raises HarnessFault.
    """

    def __init__(self, plan: Plan, queue: str, history: HistoryWriter, left: Callable[[], int]) -> None:
        self.signals = Signals(plan, history)
        self._quota = Quota(self.signals, plan.total)
        connect = partial(Connection, plan.url, queue, timeout=plan.timeout, tls=tls_for(plan.url))

        def client(name: str) -> Client:
            return Client(self.signals, name, connect())

        self._roles: list[Role] = []
        if plan.jobs is None:
            self._roles += [Taker(client(str(at)), self._quota) for at in range(1, plan.clients + 1)]
        else:
            jobs = plan.jobs
            producers = [Producer(client(f"p{at}"), jobs, self._quota) for at in range(1, jobs.producers + 1)]
            drain = Drain(self.signals, jobs, producers, left)
            names = [f"c{at}" for at in range(1, plan.clients + 1)]
            self._roles += producers
            self._roles += [Consumer(client(name), jobs, drain.is_over) for name in names]
        self._threads = [
            threading.Thread(target=role.client.run, args=(role.live,), daemon=True) for role in self._roles
        ]

    def start(self) -> None:
        """Start asking."""
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for up to ``timeout`` seconds; return whether every client is done."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def finish(self) -> None:
        """Push nothing more; consumers go on until nothing is left."""
        self._quota.finish()

    def tally(self) -> Tally:
        """The sums of all clients, while they run."""
        clients = [role.client for role in self._roles]
        return Tally(
            items=sum(role.items for role in self._roles),
            answers=sum(client.answers for client in clients),
            replays=sum(client.replays for client in clients),
            refused=sum(client.refused for client in clients),
            lost=sum(client.lost for client in clients),
            recent=[latency for client in clients for latency in client.latencies[-_RECENT:]],
            also={name: sum(role.also[name] for role in self._roles) for name in ("crashed", "redelivered")},
        )

    def latencies(self) -> list[int]:
        """The latencies of all answered requests in nanoseconds, ascending."""
        return sorted(latency for role in self._roles for latency in role.client.latencies)


class Drain:
    """Tells consumers when nothing is left, for good; one of them at a time asks the server now and then."""

    def __init__(
        self, signals: Signals, jobs: Jobs, producers: list[Producer], left: Callable[[], int]
    ) -> None:
        self._signals = signals
        self._producers = producers
        self._left = left
        self._patience = signals.plan.patience + 2 * jobs.ttl
        self._looking = threading.Lock()
        self._empty = False
        self._looked = (0.0, -1, 0.0)

    def is_over(self) -> bool:
        """Whether nothing is left to consume."""
        if self._empty or self._signals.stopping:
            return True
        if all(producer.done for producer in self._producers) and self._looking.acquire(blocking=False):
            try:
                self._look()
            except HarnessFault as fault:
                self._signals.fail(f"no audit: {fault}")
            finally:
                self._looking.release()
        return self._empty

    def _look(self) -> None:
        """Ask how many items are left; if the number stays the same for too long, the test fails."""
        asked, before, since = self._looked
        now = time.monotonic()
        if now - asked < _LOOK_EVERY:
            return
        left = self._left()
        self._empty = not left
        self._looked = (now, left, since if left == before else now)
        if left == before and now - since > self._patience:
            self._signals.fail(f"{left} items stay in the queue, and nobody is given them")
