"""The crowd of a load test: its clients as threads, the sums of what they did, and when nothing is left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Thread

from .client import Client, Signals
from .errors import HarnessFault
from .history import HistoryWriter
from .plan import Plan
from .roles import Consumer, Producer, Taker
from .wire import Connection, tls_for

_LOOK_EVERY = 0.25
_RECENT = 32


class Crowd:
    """Runs the clients of one load test; for one thread.

    Args:
        plan: The load to make.
        queue: The queue to ask.
        history: The writer that gets each request.
    """

    def __init__(self, plan: Plan, queue: str, history: HistoryWriter) -> None:
        self.signals = Signals(plan, history)
        self._patience = plan.patience + (2 * plan.jobs.ttl if plan.jobs else 0)
        self._connect = partial(
            Connection, queue=queue, timeout=plan.timeout, tls=tls_for(plan.url), token=plan.token
        )
        self._clients: list[Client] = []
        self._producers: list[Thread] = []
        self._looked = (0.0, -1, 0.0)
        if plan.jobs is None:
            self._threads = self._group("", plan.clients, Taker)
        else:
            self._producers = self._group("p", plan.jobs.producers, partial(Producer, jobs=plan.jobs))
            consumers = self._group("c", plan.clients, partial(Consumer, jobs=plan.jobs))
            self._threads = [*self._producers, *consumers]

    def _group(
        self, name: str, size: int, role: Callable[[Client], Taker | Producer | Consumer]
    ) -> list[Thread]:
        urls = self.signals.plan.urls
        clients = [
            Client(self.signals, f"{name}{at}", self._connect(urls(at - 1))) for at in range(1, size + 1)
        ]
        self._clients += clients
        return [Thread(target=one.run, args=(role(one).live,), daemon=True) for one in clients]

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

    def drain(self, left: Callable[[], int]) -> None:
        """When all is pushed, ask now and then how many items are ``left``, and tell the consumers of none.

        If the number stays the same for too long, the test fails.
        """
        asked, before, since = self._looked
        now = time.monotonic()
        if now - asked < _LOOK_EVERY or any(thread.is_alive() for thread in self._producers):
            return
        try:
            found = left()
        except HarnessFault as fault:
            self.signals.fail(f"no audit: {fault}")
            return
        self.signals.drained = not found
        self._looked = (now, found, since if found == before else now)
        if found == before and now - since > self._patience:
            self.signals.fail(f"{found} items stay in the queue, and nobody is given them")

    def tally(self) -> Counter[str]:
        """The sums of all clients' counts, while they run."""
        return sum((client.counts for client in self._clients), Counter())

    def recent(self) -> list[int]:
        """Some of the latest latencies, ascending."""
        return sorted(latency for client in self._clients for latency in client.latencies[-_RECENT:])

    def latencies(self) -> list[int]:
        """The latencies of all answered requests in nanoseconds, ascending."""
        return sorted(latency for client in self._clients for latency in client.latencies)
