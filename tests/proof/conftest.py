from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from dibs.proof.fields import Came
from dibs.proof.kinds import Kind
from dibs.proof.records import (
    Audit,
    Do,
    End,
    Entry,
    Exchange,
    Exchanged,
    Header,
    History,
    Inside,
    Lease,
    Outcome,
    Push,
    Pushed,
    Request,
    Take,
    Taken,
)
from dibs.proof.values import pieces_of

MS = 1_000_000


class Build:
    """Writes histories line by line; times are given in whole ticks."""

    def __init__(self) -> None:
        self._line = count(2)

    def ok(self, key, invoked, completed, seqs, values=None, *, replay=False, asked=None):
        seqs = [seqs] if isinstance(seqs, tuple) else [(seq, seq) for seq in seqs]
        numbers = [seq for first, last in seqs for seq in range(first, last + 1)]
        taken = Taken(pieces_of(seqs, numbers if values is None else values))
        asked = len(numbers) if asked is None else asked
        request = self._request(Outcome.OK, key, invoked, completed, asked)
        return replace(request, answer=taken, replay=replay, error=None)

    def lost(self, key, invoked, completed, *, asked=1):
        return self._request(Outcome.UNKNOWN, key, invoked, completed, asked)

    def refused(self, key, invoked, completed, *, asked=1):
        return self._request(Outcome.FAILED, key, invoked, completed, asked)

    def _request(self, outcome, key, invoked, completed, asked):
        line = next(self._line)
        return Request("c1", key, invoked, completed, outcome, Take(asked), error="ReadError", line=line)

    @staticmethod
    def history(*requests, cursor=None, end=None, taken=None, jumped=0, **header):
        """``cursor``: before the first request; ``end``: the cursor after the last one."""
        taken = cursor if taken is None else taken
        head = Header("q", cursor=cursor, taken=taken, jumped=0, **header)
        audits = () if end is None else (Audit(end, end - jumped, jumped, True),)
        return History(head, list(requests), End(len(requests), audits) if audits else None)


@pytest.fixture
def build():
    return Build()


@pytest.fixture(scope="session")
def fake():
    """The module of the fake server."""
    return load_module(Path(__file__).with_name("fake_server.py"))


def load_module(path):
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[path.stem]


class Quiet:
    """Shows nothing; remembers what was said. ``on_tick`` may interrupt."""

    def __init__(self):
        self.said = []
        self.on_tick = lambda tally: None

    def begin(self, total):
        self.total = total

    def tick(self, tally, recent, seconds):
        self.on_tick(tally)

    def say(self, line):
        self.said.append(line)

    def close(self):
        pass


@pytest.fixture
def quiet():
    return Quiet()


@pytest.fixture(scope="session")
def fake_work():
    """The module of the fake queue of work."""
    return load_module(Path(__file__).with_name("fake_work.py"))


class WorkBuild:
    """Writes histories of work; times are milliseconds, durations too, and each request has its own key."""

    def __init__(self):
        self._line = count(2)

    def request(
        self, invoked, completed, asked, answer, *, key=None, outcome=Outcome.OK, replay=False, client="c1"
    ):
        line = next(self._line)
        answer = answer if outcome is Outcome.OK else None
        told = key or f"k{line}", invoked * MS, completed * MS, outcome, asked, answer
        return Request(client, *told, replay=replay, line=line)

    def push(self, invoked, completed, seqs, *, values=None, names=None, known=(), **more):
        seqs = tuple(seqs)
        values = tuple(seqs if values is None else values)
        push, pushed = Push(values, tuple(names or [None] * len(values))), Pushed(seqs, frozenset(known))
        return self.request(invoked, completed, push, pushed, **more)

    def lease(self, invoked, completed, token, seqs, *, ttl=1000, attempt=1, values=None, left=None, **more):
        """``left``: what the reply says that is left of ``ttl``."""
        seqs = tuple(seqs)
        attempts = tuple([attempt] * len(seqs)) if isinstance(attempt, int) else tuple(attempt)
        left = ttl if left is None else left
        lease = Lease(token, left * MS, seqs, tuple(values or seqs), attempts)
        asked = Exchange((), more.pop("most", 100), ttl * MS)
        return self.request(invoked, completed, asked, Exchanged((), lease), **more)

    def settle(self, invoked, completed, do, token, seqs=None, *, verdict=None, ttl=1000, came=None, **more):
        """``verdict``: of all ``seqs``; with ``seqs`` None, of the token as a whole."""
        done = {"ack": "acked", "nack": "nacked", "extend": "extended", "release": "released"}
        verdict = verdict or done[do]
        spans = None if seqs is None else tuple((seq, seq) for seq in seqs)
        expires = ttl * MS if verdict == "extended" else 0
        came = came or tuple(Came(seq, seq, verdict, expires) for seq in seqs or [None])
        asked = Exchange((Entry(Do(do), token, spans, ttl * MS),), 0, 0)
        return self.request(invoked, completed, asked, Exchanged((came,)), **more)

    @staticmethod
    def history(*lines, inside=(), audit=None, steady=True, max_attempts=5):
        """``audit``: cursor and acked of the last audit; the rest of it is what ``inside`` says."""
        inside = None if inside is None else tuple(Inside(*one) for one in inside)
        audits = ()
        if audit is not None:
            states = [item.state for item in inside or ()]
            places = [states.count(state) for state in ("waiting", "leased", "dead")]
            audits = (Audit(audit[0], 0, 0, True, audit[1], 0, *places),)
        header = Header("q", Kind.WORK, max_attempts=max_attempts)
        return History(header, list(lines), End(len(lines), audits, inside, steady))


@pytest.fixture
def work():
    return WorkBuild()
