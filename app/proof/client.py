"""A client of a load test: one request at a time, each sent again under its key until it is answered."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from .calls import Call
from .history import HistoryWriter
from .plan import Plan
from .records import Outcome
from .wire import Connection, Fate, Reply

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
_STOPPING_PAUSE = 0.1

Clock = Callable[[], int]


COUNTED = ("items", "answers", "replayed", "refused", "lost", "crashed", "redelivered")
"""The counts of a client. ``items`` are those that are done: taken, or acked or dead."""


class Signals:
    """The signals that all clients of a load test share: what is left to ask for, whether to stop, and why.

    ``drained``: nothing is left to consume, for good.

    Args:
        plan: The load to make.
        history: The writer that gets each request.
        run: The first part of each key; None: a random one.
        clock: Monotonic nanoseconds.
    """

    def __init__(
        self, plan: Plan, history: HistoryWriter, *, run: str | None = None, clock: Clock = time.monotonic_ns
    ) -> None:
        self.plan = plan
        self.history = history
        self.run = run or uuid.uuid4().hex[:12]
        self.clock = clock
        self.fault: str | None = None
        self.exhausted = False
        self.drained = False
        self._left = plan.total
        self._claimed = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._deadline = 0
        self._heard = clock()
        self._silence = 0

    def heard(self, now: int) -> None:
        """Note that a client was answered."""
        with self._lock:
            self._silence = max(self._silence, now - self._heard)
            self._heard = max(self._heard, now)

    def silence(self) -> float:
        """The longest time without an answer to anybody since this was asked before, in seconds."""
        with self._lock:
            now = self.clock()
            longest = max(self._silence, now - self._heard)
            self._silence, self._heard = 0, now
            return longest / 1e9

    def claim(self, most: int) -> range:
        """The numbers of the next items, up to ``most``; none when enough were claimed."""
        with self._lock:
            size = most if self._left is None else min(most, self._left)
            if self.stopping:
                return range(0)
            self._left = None if self._left is None else self._left - size
            self._claimed += size
            return range(self._claimed - size + 1, self._claimed + 1)

    def give_back(self, items: int) -> None:
        """Let another request ask for items that were claimed and not handed out."""
        with self._lock:
            self._left = None if self._left is None else self._left + items

    def finish(self) -> None:
        """Let nobody claim more; consumers go on until nothing is left."""
        with self._lock:
            self._left = 0

    def stop(self, grace: float) -> None:
        """Let nobody begin a new request. Those with a lost reply are sent again for ``grace`` seconds."""
        with self._lock:
            if not self._stopping.is_set():
                self._deadline = self.clock() + int(grace * 1e9)
                self._stopping.set()

    def fail(self, problem: str) -> None:
        """Stop because the test can't go on; the first problem is kept."""
        with self._lock:
            self.fault = self.fault or problem
        self.stop(LONGEST_PAUSE)

    def exhaust(self, error: str) -> None:
        """Stop because nothing is left to take; a queue that producers push to is not to end."""
        if self.plan.jobs is None:
            self.exhausted = True
            self.stop(self.plan.patience)
        else:
            self.fail(error)

    @property
    def stopping(self) -> bool:
        """Whether no new request may begin."""
        return self._stopping.is_set()

    @property
    def given_up(self) -> bool:
        """Whether requests with a lost reply are no longer sent again either."""
        return self._stopping.is_set() and self.clock() > self._deadline

    def pause(self, seconds: float) -> None:
        """Wait for so many seconds; when stopping, only briefly."""
        if self._stopping.wait(seconds):
            time.sleep(min(seconds, _STOPPING_PAUSE))


class Client:
    """One thread's connection and what came of its requests. Latencies are nanoseconds, of answers only.

    ``name`` is that of who asks; a role may change it. ``counts`` has all names, so others may read it.
    """

    def __init__(self, signals: Signals, name: str, connection: Connection) -> None:
        self.name = name
        self.signals = signals
        self.counts = Counter(dict.fromkeys(COUNTED, 0))
        self.latencies: list[int] = []
        self._connection = connection
        self._requests = 0
        self._answered = 0

    def run(self, live: Callable[[], None]) -> None:
        """Do what the role of the client does. An exception that ends it is a fault of the test."""
        try:
            self._answered = self.signals.clock()
            live()
        except Exception as error:
            self.signals.fail(f"client {self.name} broke: {type(error).__name__}: {error}")
        finally:
            self._connection.close()

    def ask(self, call: Call, *, timed: bool = True) -> Mapping[str, Any] | None:
        """Send one request until it is answered; None if it was given up, or the test can't go on.

        ``timed``: its latency is counted, since the request does not wait for items.
        """
        signals = self.signals
        self._requests += 1
        key = f"{signals.run}-{self.name}-{self._requests}" if signals.plan.keys else None
        asked = {"op": call.asked["op"], "client": self.name, "key": key, **call.asked}
        pause, open_question, told = FIRST_PAUSE, False, ""
        while True:
            invoked = signals.clock()
            reply = self._connection.send(call, key)
            times = invoked, signals.clock()
            self._record(asked, times, reply)
            if reply.fate is Fate.ANSWERED:
                self._answered = times[1]
                signals.heard(times[1])
                self.latencies += [times[1] - times[0]] * timed
                return reply.answer
            told = told if told and reply.fate is Fate.UNSENT else reply.error
            open_question = (open_question or reply.fate is Fate.LOST) and reply.fate is not Fate.REFUSED
            if self._is_over(call, reply, told) or signals.given_up:
                return None
            # Without a key nobody can ask again; an open question is asked again even when stopping.
            if (key is None) if open_question else signals.stopping:
                return None
            signals.pause(reply.pause or pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _record(self, asked: Mapping[str, Any], times: tuple[int, int], reply: Reply) -> None:
        """Record a request, unless it never reached the server."""
        if reply.fate is Fate.UNSENT:
            return
        if reply.fate is Fate.ANSWERED:
            outcome, name = Outcome.OK, "answers"
        elif reply.fate is Fate.LOST or reply.maybe:
            outcome, name = Outcome.UNKNOWN, "lost"
        else:
            outcome, name = Outcome.FAILED, "refused"
        self.counts[name] += 1
        self.counts["replayed"] += reply.answer.get("replay", False)
        self.signals.history.request(asked, times, outcome, reply.answer or {"error": reply.error})

    def _is_over(self, call: Call, reply: Reply, told: str) -> bool:
        """Whether this answer ends the load or the client's patience; ``told`` is the last answer it had."""
        now = self.signals.clock()
        if call.patient and reply.fate is Fate.REFUSED:
            self._answered = now
        waited = (now - self._answered) / 1e9
        if reply.fate is Fate.EXHAUSTED:
            self.signals.exhaust(reply.error)
        elif reply.fate is Fate.FAULT:
            self.signals.fail(reply.error)
        elif waited > self.signals.plan.patience:
            self.signals.fail(f"nothing for {waited:.0f} s; the last answer: {told}")
        else:
            return False
        return True
