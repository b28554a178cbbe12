"""The crowd of a work load: producers, consumers, and the end, when nothing is left to consume."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from ..clients import Tally
from ..crew import Clock
from ..errors import HarnessFault
from ..wire import tls_for
from .caller import Caller, WorkCrew
from .consumer import Consumer
from .history import WorkWriter
from .plan import WorkPlan, value_of
from .wire import WorkConnection

_PUSHED_AT_ONCE = 100
_LOOK_EVERY = 0.25
_RECENT = 32

Left = Callable[[], int]
"""How many items wait or are leased; raises HarnessFault."""


class WorkCrowd(WorkCrew):
    """Runs the clients of one load test of work.

    Args:
        plan: The load to make.
        queue: The test's own queue.
        history: The writer that gets every request.
        left: Asks the server how many items are left to consume.
        clock: Monotonic nanoseconds.
    """

    exhausted = False

    def __init__(
        self,
        plan: WorkPlan,
        queue: str,
        history: WorkWriter,
        left: Left,
        *,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        super().__init__(clock)
        self.plan = plan
        self.history = history
        self.run = uuid.uuid4().hex[:12]
        self._left_to_push = plan.total
        self._pushed = 0
        self._finishing = threading.Event()
        self._left = left
        self._looking = threading.Lock()
        self._empty = False
        self._looked = (0.0, -1, 0.0)
        connect = partial(WorkConnection, plan.url, queue, timeout=plan.timeout, tls=tls_for(plan.url))
        self._producers = [Producer(self, f"p{at}", connect()) for at in range(1, plan.producers + 1)]
        self._consumers = [Consumer(self, f"c{at}", connect()) for at in range(1, plan.clients + 1)]
        self._callers: list[Caller] = [*self._producers, *self._consumers]
        self.employ({f"client {caller.name}": caller.run for caller in self._callers})

    def finish(self) -> None:
        """Push nothing more; consumers go on until nothing is left."""
        self._finishing.set()

    def claim(self) -> range:
        """The numbers of the jobs to push next; empty when enough are pushed."""
        with self.lock:
            size = _PUSHED_AT_ONCE
            if self._left_to_push is not None:
                size = min(size, self._left_to_push)
                self._left_to_push -= size
            if self.stopping or self._finishing.is_set():
                return range(0)
            first = self._pushed + 1
            self._pushed += size
            return range(first, first + size)

    def is_drained(self) -> bool:
        """Whether the server has nothing left to consume; one consumer at a time asks it now and then."""
        if self._empty or self.stopping:
            return True
        if any(not producer.done for producer in self._producers) or not self._looking.acquire(
            blocking=False
        ):
            return False
        try:
            self._look()
        except HarnessFault as fault:
            self.fail(f"no audit: {fault}")
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
        if left == before and now - since > self.plan.patience + 2 * self.plan.ttl:
            self.fail(f"{left} items stay in the queue, and nobody is given them")

    def tally(self) -> Tally:
        """The sums of all clients, while they run. ``items`` are those that are done: acked or dead."""
        consumers, callers = self._consumers, self._callers
        also = {
            "crashed": sum(one.crashes for one in consumers),
            "redelivered": sum(one.redelivered for one in consumers),
        }
        return Tally(
            items=sum(one.settled.get("acked", 0) + one.settled.get("dead", 0) for one in consumers),
            answers=sum(one.answers for one in callers),
            replays=sum(one.replays for one in callers),
            refused=sum(one.refused for one in callers),
            lost=sum(one.lost for one in callers),
            recent=[latency for one in consumers for latency in one.latencies[-_RECENT:]],
            also=also,
        )

    def latencies(self) -> list[int]:
        """The latencies of all answered requests in nanoseconds, ascending."""
        return sorted(latency for one in self._callers for latency in one.latencies)


class Producer(Caller):
    """Pushes jobs in parts, and now and then a part again, which the server must know then."""

    done = False
    crew: WorkCrowd

    def live(self) -> None:
        """Push until enough is pushed."""
        try:
            while numbers := self.crew.claim():
                items = [self._item(number) for number in numbers]
                again = self.random.random() < self.crew.plan.again
                if again:
                    items = [
                        item | {"key": f"{self.crew.run}-job-{n}"}
                        for n, item in zip(numbers, items, strict=True)
                    ]
                if self._push(items) is None or (again and self._push(items) is None):
                    return
        finally:
            self.done = True

    def _item(self, number: int) -> dict[str, Any]:
        """The item of a job: one in two has a key, one in five a priority, one in twenty a delay."""
        item: dict[str, Any] = {"value": value_of(number)}
        dice = self.random.random()
        if number % 2:
            item["key"] = f"{self.crew.run}-job-{number}"
        if dice < 0.2:  # noqa: PLR2004
            item["priority"] = int(dice * 50)
        if dice > 0.95:  # noqa: PLR2004
            item["delay"] = round(dice - 0.9, 3)
        return item

    def _push(self, items: list[dict[str, Any]]) -> object:
        asked = {
            "op": "push",
            "values": [item["value"] for item in items],
            "names": [item.get("key") for item in items],
        }
        return self.ask(asked, lambda key: self.connection.push(items, key))
