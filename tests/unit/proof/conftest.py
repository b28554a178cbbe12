from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from dibs.proof.records import Audited, End, Header, History, Outcome, Record, pieces_of
from dibs.proof.work.records import (
    Came,
    Do,
    Entry,
    Inside,
    Lease,
    PushRequest,
    WorkAudit,
    WorkEnd,
    WorkHeader,
    WorkHistory,
    WorkRequest,
)

MS = 1_000_000


class Build:
    """Writes histories line by line; times are given in whole ticks."""

    def __init__(self) -> None:
        self._line = count(2)

    def ok(self, key, invoked, completed, seqs, values=None, *, replay=False, asked=None):
        seqs = [seqs] if isinstance(seqs, tuple) else [(seq, seq) for seq in seqs]
        numbers = [seq for first, last in seqs for seq in range(first, last + 1)]
        pieces = pieces_of(seqs, numbers if values is None else values)
        asked = len(numbers) if asked is None else asked
        record = self._record(Outcome.OK, key, invoked, completed, asked)
        return replace(record, pieces=pieces, replay=replay, error=None)

    def lost(self, key, invoked, completed, *, asked=1):
        return self._record(Outcome.UNKNOWN, key, invoked, completed, asked)

    def refused(self, key, invoked, completed, *, asked=1):
        return self._record(Outcome.FAILED, key, invoked, completed, asked)

    def _record(self, outcome, key, invoked, completed, asked):
        record = Record("c1", key, invoked, completed, outcome, asked, error="ReadError")
        return replace(record, line=next(self._line))

    @staticmethod
    def history(*records, cursor=None, end=None, taken=None, jumped=0, **header):
        """``cursor``: before the first request; ``end``: the cursor after the last one."""
        head = Header("q", cursor=cursor, taken=cursor if taken is None else taken, jumped=0, **header)
        if end is None:
            return History(head, list(records))
        audit = Audited(end, end - jumped, jumped, True)
        return History(head, list(records), End(len(records), (audit,)))


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

    def tick(self, tally, seconds):
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

    def asked(self, invoked, completed, *, key=None, client="c1", outcome=Outcome.OK, replay=False):
        line = next(self._line)
        times = {"invoked": invoked * MS, "completed": completed * MS}
        told = {"key": key or f"k{line}", "outcome": outcome, "replay": replay, "line": line}
        return {"client": client, **told, **times}

    def push(self, invoked, completed, seqs, *, values=None, names=None, known=(), **more):
        seqs = tuple(seqs)
        values = tuple(seqs if values is None else values)
        names = tuple(names or [None] * len(values))
        asked = self.asked(invoked, completed, **more)
        if asked["outcome"] is not Outcome.OK:
            return PushRequest(**asked, values=values, names=names)
        return PushRequest(**asked, values=values, names=names, seqs=seqs, known=frozenset(known))

    def lease(self, invoked, completed, token, seqs, *, ttl=1000, attempt=1, values=None, left=None, **more):
        """``left``: what the reply says that is left of ``ttl``."""
        seqs = tuple(seqs)
        attempts = tuple([attempt] * len(seqs)) if isinstance(attempt, int) else tuple(attempt)
        left = ttl if left is None else left
        lease = Lease(token, left * MS, seqs, tuple(values or seqs), attempts)
        most = more.pop("most", 100)
        asked = self.asked(invoked, completed, **more)
        answer = {"lease": lease} if asked["outcome"] is Outcome.OK else {}
        return WorkRequest(**asked, most=most, ttl=ttl * MS, **answer)

    def settle(self, invoked, completed, do, token, seqs=None, *, verdict=None, ttl=1000, **more):
        """``verdict``: of all ``seqs``; with ``seqs`` None, of the token as a whole."""
        done = {"ack": "acked", "nack": "nacked", "extend": "extended", "release": "released"}
        verdict = verdict or done[do]
        spans = None if seqs is None else tuple((seq, seq) for seq in seqs)
        asked = self.asked(invoked, completed, **more)
        entries = (Entry(Do(do), token, spans, ttl * MS),)
        if asked["outcome"] is not Outcome.OK:
            return WorkRequest(**asked, entries=entries)
        expires = ttl * MS if verdict == "extended" else 0
        came = tuple(Came(seq, seq, verdict, expires) for seq in seqs or [None])
        return WorkRequest(**asked, entries=entries, outcomes=(came,))

    @staticmethod
    def history(*lines, inside=(), audit=None, steady=True, max_attempts=5):
        """``audit``: cursor and acked of the last audit; the rest of it is what ``inside`` says."""
        inside = None if inside is None else tuple(Inside(*one) for one in inside)
        audits = ()
        if audit is not None:
            states = [item.state for item in inside or ()]
            places = [states.count(state) for state in ("waiting", "leased", "dead")]
            audits = (WorkAudit(audit[0], 0, audit[1], 0, 0, *places, 0, True),)
        end = WorkEnd(len(lines), inside, audits, steady)
        return WorkHistory(WorkHeader("q", max_attempts=max_attempts), list(lines), end)


@pytest.fixture
def work():
    return WorkBuild()
