"""A consumer in a process of its own, there to be killed: ``python worker.py URL QUEUE RUN NAME [LEFT]``.

It is the load test's consumer. Its history goes to stdout, each request announced before it is sent, so that
nothing is unknown of a worker that was killed but the reply of its last request. ``LEFT`` is that request of
the one it replaces: it asks again with the same key, and forgets what the answer hands out. With ``hold`` in
its place it stops at its first lease and settles nothing of it: whoever is killed then is certain to leave
items behind. Else it ends when its stdin does. Its clock is the machine's monotonic one, which all share.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from dibs.proof.records import Outcome
from dibs.proof.wire import Fate, tls_for
from dibs.proof.work import consumer, fields
from dibs.proof.work.caller import WorkCrew
from dibs.proof.work.consumer import Consumer
from dibs.proof.work.plan import WorkPlan
from dibs.proof.work.wire import Ask, WorkConnection


def tell(body):
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()


class Journal:
    """A history on stdout."""

    def request(self, asked, times, outcome, answer):
        tell({"asked": asked, "times": times, "outcome": outcome.value, "answer": answer})

    def note(self, note):
        tell({"note": note})


class Holding(Journal):
    """Goes no further than the first answer that hands something out."""

    def request(self, asked, times, outcome, answer):
        super().request(asked, times, outcome, answer)
        if outcome is Outcome.OK and answer["lease"]:
            threading.Event().wait()


class Alone(WorkCrew):
    """A crew of one, that goes on until it is told to stop."""

    def __init__(self, plan, run, journal):
        super().__init__(time.monotonic_ns)
        self.plan, self.run, self.history = plan, run, journal

    def is_drained(self):
        return self.stopping


class Announcing(Consumer):
    """Says what it asks for before it does."""

    def ask(self, asked, send, *, timed=True):
        def announced(key):
            tell({"begin": {"client": self.name, "key": key, **asked}, "at": self.crew.clock()})
            return send(key)

        return super().ask(asked, announced, timed=timed)

    def repeat(self, left):
        """Ask again, under its key, for what another one asked, until that is answered; then forget it."""
        entries = [fields._entry(0, body) for body in left["entries"]]
        wait = 0.0 if entries else consumer._WAIT
        ask = Ask(left["max"], left["ttl"], wait, left["client"]) if left["max"] else None
        while True:
            invoked = self.crew.clock()
            tell({"begin": left, "at": invoked})
            reply = self.connection.work(entries, ask, left["key"])
            times = invoked, self.crew.clock()
            if reply.fate is Fate.ITEMS:
                self.crew.history.request(left, times, Outcome.OK, reply.answer)
                return
            if reply.fate is Fate.LOST:
                self.crew.history.request(left, times, Outcome.UNKNOWN, {"error": reply.error})
            assert reply.fate is not Fate.FAULT, reply.error
            time.sleep(0.02)


def main(url, queue, run, name, left=None):
    plan = WorkPlan(url=url, crash=0.0, count=20, ttl=1.0)
    hold = left == "hold"
    crew = Alone(plan, run, Holding() if hold else Journal())
    threading.Thread(target=lambda: (sys.stdin.read(), crew.stop(10)), daemon=True).start()
    worker = Announcing(crew, name, WorkConnection(url, queue, timeout=5, tls=tls_for(url)))
    if left is not None and not hold:
        worker.repeat(json.loads(left))
    worker.run()
    tell({"fault": crew.fault})


if __name__ == "__main__":
    main(*sys.argv[1:])
