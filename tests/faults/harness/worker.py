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
from dataclasses import asdict

from dibs.proof.calls import exchange
from dibs.proof.client import Client, Signals
from dibs.proof.plan import Jobs, Plan
from dibs.proof.records import Exchange, Outcome
from dibs.proof.roles import Consumer
from dibs.proof.wire import Connection, Fate, tls_for
from pydantic import TypeAdapter


def tell(body):
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()


class Journal:
    """A history on stdout."""

    def request(self, asked, times, outcome, answer):
        tell({"asked": asked, "times": times, "outcome": outcome.value, "answer": answer})

    def note(self, note):
        tell({"note": asdict(note)})


class Holding(Journal):
    """Goes no further than the first answer that hands something out."""

    def request(self, asked, times, outcome, answer):
        super().request(asked, times, outcome, answer)
        if outcome is Outcome.OK and answer["lease"]:
            threading.Event().wait()


class Announcing(Connection):
    """Says what it asks for before it does."""

    name = ""

    def send(self, call, key):
        tell({"begin": {"client": self.name, "key": key, **call.asked}, "at": time.monotonic_ns()})
        return super().send(call, key)


def repeat(signals, connection, left):
    """Ask again, under its key, for what another one asked, until that is answered; then forget it."""
    entries = TypeAdapter(Exchange).validate_python(left).entries
    terms = {
        "max": left["max"],
        "ttl": left["ttl"],
        "wait": 0.0 if entries else 0.25,
        "worker": left["client"],
    }
    lease = terms if left["max"] else None
    connection.name = left["client"]
    while True:
        invoked = signals.clock()
        reply = connection.send(exchange(entries, lease), left["key"])
        times = invoked, signals.clock()
        if reply.fate is Fate.ANSWERED:
            signals.history.request(left, times, Outcome.OK, reply.answer)
            return
        if reply.fate is Fate.LOST:
            signals.history.request(left, times, Outcome.UNKNOWN, {"error": reply.error})
        assert reply.fate is not Fate.FAULT, reply.error
        time.sleep(0.02)


def main(url, queue, run, name, left=None):
    jobs = Jobs(crash=0.0, ttl=1.0)
    hold = left == "hold"
    signals = Signals(Plan(url=url, count=20, jobs=jobs), Holding() if hold else Journal(), run=run)
    threading.Thread(target=lambda: (sys.stdin.read(), signals.stop(10)), daemon=True).start()
    connection = Announcing((url,), queue, timeout=5, tls=tls_for(url))
    if left is not None and not hold:
        repeat(signals, connection, json.loads(left))
    connection.name = name
    client = Client(signals, name, connection)
    client.run(Consumer(client, jobs).live)
    tell({"fault": signals.fault})


if __name__ == "__main__":
    main(*sys.argv[1:])
