from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from app.proof.records import Audited, End, Header, History, Outcome, Record, pieces_of


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
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
