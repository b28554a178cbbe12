"""The crowd: client threads that take items until they have enough, and record every request."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from .crew import FIRST_PAUSE, LONGEST_PAUSE, Clock, Crew
from .history import HistoryWriter
from .records import Ask, Outcome
from .wire import Connection, Fate, Reply, tls_for


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a load test.

    With ``queue`` None the test has a queue of its own, deleted afterwards. With ``total`` None it goes on
    until it is stopped. ``count`` is the number of items per request. ``timeout`` is for one request;
    ``patience`` is how long one client may go without an answer before the test gives up, in seconds.
    """

    url: str = "http://127.0.0.1:8000"
    queue: str | None = None
    clients: int = 64
    total: int | None = 100_000
    count: int = 1
    keys: bool = True
    timeout: float = 10.0
    patience: float = 30.0


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of the crowd so far. Latencies are nanoseconds, of answered requests only.

    ``also`` has further numbers for the reader, by name.
    """

    items: int
    answers: int
    replays: int
    refused: int
    lost: int
    recent: list[int]
    also: Mapping[str, int] = field(default_factory=dict)


class Crowd(Crew):
    """Runs the clients of one load test.

    Args:
        plan: The load to make.
        queue: The queue to take from.
        history: The writer that gets each request.
        clock: Monotonic nanoseconds.
    """

    def __init__(
        self, plan: Plan, queue: str, history: HistoryWriter, *, clock: Clock = time.monotonic_ns
    ) -> None:
        super().__init__(clock)
        self.plan = plan
        self.history = history
        self.exhausted = False
        self._left = plan.total
        run = uuid.uuid4().hex[:12]
        connect = partial(Connection, plan.url, queue, timeout=plan.timeout, tls=tls_for(plan.url))
        self._clients = [Client(self, f"{run}-{number}", connect()) for number in range(1, plan.clients + 1)]
        self.employ({f"client {client.name}": client.run for client in self._clients})

    def claim(self) -> int:
        """How many items to request next; 0 when enough were requested."""
        if self.stopping:
            return 0
        if self._left is None:
            return self.plan.count
        with self.lock:
            wanted = min(self.plan.count, self._left)
            self._left -= wanted
        return wanted

    def give_back(self, items: int) -> None:
        """Let another request ask for items that were claimed and not handed out."""
        if items and self._left is not None:
            with self.lock:
                self._left += items

    def tally(self) -> Tally:
        """The sums of all clients, while they run."""
        clients = self._clients
        return Tally(
            items=sum(client.items for client in clients),
            answers=sum(len(client.latencies) for client in clients),
            replays=sum(client.replays for client in clients),
            refused=sum(client.refused for client in clients),
            lost=sum(client.lost for client in clients),
            recent=[latency for client in clients for latency in client.latencies[-32:]],
        )

    def latencies(self) -> list[int]:
        """The latencies of all answered requests in nanoseconds, ascending."""
        return sorted(latency for client in self._clients for latency in client.latencies)


class Client:
    """One thread with one connection: one request at a time, each sent again until it is answered."""

    def __init__(self, crowd: Crowd, name: str, connection: Connection) -> None:
        self.name = name
        self.items = 0
        self.replays = 0
        self.refused = 0
        self.lost = 0
        self.latencies: list[int] = []
        self._crowd = crowd
        self._connection = connection
        self._number = name.rpartition("-")[2]
        self._answered = 0

    def run(self) -> None:
        """Send requests until enough were sent. An exception that ends the thread is a fault of the test."""
        crowd = self._crowd
        try:
            self._answered = crowd.clock()
            requests = 0
            while wanted := crowd.claim():
                requests += 1
                key = f"{self.name}-{requests}" if crowd.plan.keys else None
                crowd.give_back(wanted - self._until_answered(wanted, key))
        except Exception as error:
            crowd.fail(f"client {self._number} broke: {type(error).__name__}: {error}")
        finally:
            self._connection.close()

    def _until_answered(self, wanted: int, key: str | None) -> int:
        """Send one request until it is answered; return how many items it got."""
        crowd, pause, open_question, told = self._crowd, FIRST_PAUSE, False, ""
        while True:
            invoked = crowd.clock()
            reply = self._connection.next(wanted, key)
            ask = Ask(self._number, key, wanted, invoked, crowd.clock())
            if reply.fate is Fate.ITEMS:
                return self._keep(ask, reply)
            self._note(ask, reply)
            told = told if told and reply.fate is Fate.UNSENT else reply.error
            open_question = (open_question or reply.fate is Fate.LOST) and reply.fate is not Fate.REFUSED
            if self._is_over(reply, told) or (crowd.stopping and not open_question) or crowd.given_up:
                return 0
            if key is None and open_question:
                return 0
            crowd.pause(reply.pause or pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _keep(self, ask: Ask, reply: Reply) -> int:
        self._crowd.history.answered(ask, reply.seqs, reply.values, replay=reply.replay)
        self._answered = ask.completed
        self.latencies.append(ask.completed - ask.invoked)
        self.items += len(reply.values)
        self.replays += reply.replay
        return len(reply.values)

    def _note(self, ask: Ask, reply: Reply) -> None:
        """Record a request that was not answered, unless it never reached the server."""
        if reply.fate is Fate.UNSENT:
            return
        lost = reply.fate is Fate.LOST or reply.maybe
        self.lost += lost
        self.refused += not lost
        self._crowd.history.unanswered(ask, Outcome.UNKNOWN if lost else Outcome.FAILED, reply.error)

    def _is_over(self, reply: Reply, told: str) -> bool:
        """Whether this answer ends the load or the client's patience; ``told`` is the last answer it had."""
        crowd, waited = self._crowd, (self._crowd.clock() - self._answered) / 1e9
        if reply.fate is Fate.EXHAUSTED:
            crowd.exhausted = True
            crowd.stop(crowd.plan.patience)
        elif reply.fate is Fate.FAULT:
            crowd.fail(reply.error)
        elif waited > crowd.plan.patience:
            crowd.fail(f"no items for {waited:.0f} s; the last answer: {told}")
        else:
            return False
        return True
