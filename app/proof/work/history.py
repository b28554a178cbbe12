"""A history of work on disk: JSON lines, written while the load runs, read as a stream.

::

    {"dibs_history": 2, "kind": "work", "queue": "jobs", "max_attempts": 5, "cursor": 0, "acked": 0, …}
    {"op": "push", "client": "p1", "key": "9f…-1", "invoked": 1, "completed": 9, "outcome": "ok",
     "values": [{"job": 1}, "job 2"], "names": ["a", null], "seqs": [[1, 2]], "known": [], "replay": false}
    {"op": "work", "client": "c1", "key": "9f…-2", "invoked": 10, "completed": 14, "outcome": "ok",
     "entries": [], "outcomes": [], "max": 2, "ttl": 1.5,
     "lease": {"token": "t1", "expires_in": 1.499, "seqs": [[1, 2]], "values": […], "attempts": [1, 1]}, …}
    {"op": "work", …, "entries": [{"do": "ack", "token": "t1", "seqs": [[1, 1]]}],
     "outcomes": [[[1, 1, "acked"]]], "max": 0, "ttl": 0, "lease": null, …}
    {"op": "note", "what": "crash", "client": "c1", "at": 20, "until": 20, "token": "t1"}
    {"end": true, "lines": 4, "inside": [[2, "leased", 1]], "audits": [{…}], "steady": true}

Durations are seconds, as on the wire. The rest is as in a history of takes (``dibs.proof.history``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ..errors import HistoryError
from ..fields import parse
from ..records import Outcome
from ..spans import Span
from . import fields
from .records import WORK_FORMAT, Line, Note, WorkEnd, WorkHeader

_BUFFERED = 256


class WorkWriter(AbstractContextManager["WorkWriter"]):
    """Writes one history; its methods may be called from any number of threads."""

    def __init__(self, path: Path, header: WorkHeader) -> None:
        self.path = path
        self.lines = 0
        self._lock = threading.Lock()
        self._waiting = [json.dumps({"dibs_history": WORK_FORMAT, "kind": "work"} | asdict(header))]
        self._file: TextIO = path.open("w", encoding="ascii", newline="\n")

    def request(
        self,
        asked: Mapping[str, Any],
        times: tuple[int, int],
        outcome: Outcome,
        answer: Mapping[str, Any],
    ) -> None:
        """Record a request: its content, when it began and ended, and what is known of its answer."""
        invoked, completed = times
        self._write({**asked, "invoked": invoked, "completed": completed, "outcome": outcome.value, **answer})

    def note(self, note: Note) -> None:
        """Record something that the test did."""
        self._write({"op": "note", **note._asdict()})

    def end(self, end: WorkEnd) -> None:
        """Write the last line and close the file; the number of lines is filled in."""
        with self._lock:
            body = {
                "end": True,
                "lines": self.lines,
                "inside": end.inside,
                "audits": [asdict(audit) for audit in end.audits],
                "steady": end.steady,
            }
            self._waiting.append(json.dumps(body))
            self._flush()
            self._file.close()

    def close(self) -> None:
        """Close the file without a last line: the history was cut off. Harmless after `end`."""
        with self._lock:
            if not self._file.closed:
                self._flush()
                self._file.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, body: Mapping[str, Any]) -> None:
        line = json.dumps(body, separators=(",", ":"))
        with self._lock:
            self.lines += 1
            self._waiting.append(line)
            if len(self._waiting) >= _BUFFERED:
                self._flush()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        self._file.write("\n".join(lines) + "\n")


class WorkReader:
    """Reads a history of work from numbered lines, once; the first one is parsed already.

    Raises:
        HistoryError: a line is not JSON, or lacks a field; it names the line.
    """

    def __init__(self, first: tuple[int, dict[str, Any]], rest: Iterable[tuple[int, str]]) -> None:
        self.header: WorkHeader = fields.header(*first)
        self.end: WorkEnd | None = None
        self._rest = rest
        self._read = 0

    @property
    def lines(self) -> Iterator[Line]:
        """Requests and notes, in the order of the file. A file can be read once."""
        for line, text in self._rest:
            if not text.strip():
                continue
            body = parse(line, text)
            if self.end is not None:
                raise HistoryError(line, "stands after the end line")
            if body.get("end") is True:
                self._finish(line, body)
            else:
                self._read += 1
                yield _line(line, body)

    def _finish(self, line: int, body: dict[str, Any]) -> None:
        self.end = fields.end(line, body)
        if self.end.lines != self._read:
            raise HistoryError(line, f"{self.end.lines} lines were written, {self._read} are here")


def _line(line: int, body: dict[str, Any]) -> Line:
    match body.get("op"):
        case "push":
            return fields.push(line, body)
        case "work":
            return fields.work(line, body)
        case "note":
            return fields.note(line, body)
        case op:
            raise HistoryError(line, f'"op" must be push, work or note, not {op!r}')


def ranges(seqs: Sequence[int]) -> list[Span]:
    """The fewest ranges that have the seqs in their order."""
    spans: list[Span] = []
    for seq in seqs:
        if spans and spans[-1][1] == seq - 1:
            spans[-1] = (spans[-1][0], seq)
        else:
            spans.append((seq, seq))
    return spans
