"""The common part of producers and consumers: send each request until it is answered, and record it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..crew import FIRST_PAUSE, LONGEST_PAUSE, Crew
from ..records import Outcome
from ..wire import Fate
from .history import WorkWriter
from .plan import WorkPlan
from .wire import WorkConnection, WorkReply


class WorkCrew(Crew):
    """The part of a crowd that a caller needs."""

    plan: WorkPlan
    history: WorkWriter
    run: str

    def is_drained(self) -> bool:
        """Whether nothing is left to consume, for good; consumers that got nothing ask this."""
        raise NotImplementedError


class Caller:
    """One thread with one connection: one request at a time, each sent again under its key until answered."""

    def __init__(self, crew: WorkCrew, name: str, connection: WorkConnection) -> None:
        self.name = name
        self.answers = 0
        self.replays = 0
        self.refused = 0
        self.lost = 0
        self.latencies: list[int] = []
        self.crew = crew
        self.connection = connection
        self.random = crew.plan.random(name)
        self._requests = 0
        self._answered = 0

    def run(self) -> None:
        """Work until nothing is left to do. An exception that ends the thread is a fault of the test."""
        try:
            self._answered = self.crew.clock()
            self.live()
        except Exception as error:
            self.crew.fail(f"client {self.name} broke: {type(error).__name__}: {error}")
        finally:
            self.connection.close()

    def live(self) -> None:
        """The work of this kind of caller, from beginning to end."""
        raise NotImplementedError

    def ask(
        self, asked: Mapping[str, Any], send: Callable[[str], WorkReply], *, timed: bool = True
    ) -> WorkReply | None:
        """Send one request until it is answered; None if it was given up, or the test can't go on.

        ``timed``: its latency is counted, since the request does not wait for items.
        """
        self._requests += 1
        key = f"{self.crew.run}-{self.name}-{self._requests}"
        asked = {"op": asked["op"], "client": self.name, "key": key, **asked}
        pause, open_question, told = FIRST_PAUSE, False, ""
        while True:
            invoked = self.crew.clock()
            reply = send(key)
            times = invoked, self.crew.clock()
            if reply.fate is Fate.ITEMS:
                self.latencies += [times[1] - times[0]] if timed else []
                return self._keep(asked, times, reply)
            self._unanswered(asked, times, reply)
            told = told if told and reply.fate is Fate.UNSENT else reply.error
            open_question = (open_question or reply.fate is Fate.LOST) and reply.fate is not Fate.REFUSED
            if self._is_over(reply, told) or self.crew.given_up or (self.crew.stopping and not open_question):
                return None
            self.crew.pause(reply.pause or pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _keep(self, asked: Mapping[str, Any], times: tuple[int, int], reply: WorkReply) -> WorkReply:
        self.crew.history.request(asked, times, Outcome.OK, reply.answer)
        self._answered = times[1]
        self.answers += 1
        self.replays += bool(reply.answer["replay"])
        return reply

    def _unanswered(self, asked: Mapping[str, Any], times: tuple[int, int], reply: WorkReply) -> None:
        """Record a request that was not answered, unless it never reached the server."""
        if reply.fate is Fate.UNSENT:
            return
        lost = reply.fate is Fate.LOST or reply.maybe
        self.lost += lost
        self.refused += not lost
        outcome = Outcome.UNKNOWN if lost else Outcome.FAILED
        self.crew.history.request(asked, times, outcome, {"error": reply.error})

    def _is_over(self, reply: WorkReply, told: str) -> bool:
        """Whether this answer ends the load or the client's patience; ``told`` is the last answer it had.

        A refusal is an answer, too, so a producer waits for room as long as others consume.
        """
        now = self.crew.clock()
        if reply.fate is Fate.REFUSED:
            self._answered = now
        if reply.fate in {Fate.FAULT, Fate.EXHAUSTED}:
            self.crew.fail(reply.error)
            return True
        waited = (now - self._answered) / 1e9
        if waited > self.crew.plan.patience:
            self.crew.fail(f"no answer for {waited:.0f} s; the last word: {told}")
            return True
        return False
