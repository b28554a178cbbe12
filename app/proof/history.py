"""The history on disk: JSON lines, written while the load runs, read as a stream.

::

    {"dibs_history": 1, "queue": "orders", "cursor": 0, …}                           the header
    {"client": "3", "key": "9f…-17", "queue": "orders", "count": 2,
     "invoked": 812, "completed": 990, "outcome": "ok",
     "seqs": [[1, 2]], "values": [1, 2], "replay": false}                            a request (one line)
    {"client": "4", "key": "9f…-18", "queue": "orders", "count": 2,
     "invoked": 815, "completed": 999, "outcome": "unknown", "error": "ReadError"}   its reply was lost
    {"end": true, "requests": 2, "audits": [{"cursor": 2, "taken": 2, "jumped": 0, "balanced": true}]}

A request that is sent again is a line of its own with the same key. Unknown fields are ignored, so
that the format can grow; a missing or wrong one is an error that names its line.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from . import fields
from .errors import HistoryError
from .records import FORMAT, Ask, Audited, End, Header, Outcome, Record, pieces_of

_BUFFERED = 512


class Recording(Protocol):
    """A history that the checker reads: a `HistoryReader`, or a `History` in memory."""

    @property
    def header(self) -> Header:
        """What the history is of."""

    @property
    def records(self) -> Iterable[Record]:
        """The requests, in any order."""

    @property
    def end(self) -> End | None:
        """The last line, once the records were read; None where the history was cut off."""


class HistoryWriter(AbstractContextManager["HistoryWriter"]):
    """Writes one history; its two record methods may be called from any number of threads.

    At most a few hundred lines wait in memory. What is written after `end` is refused.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.requests = 0
        self._queue = json.dumps(header.queue)
        self._lock = threading.Lock()
        self._waiting: list[str] = [json.dumps({"dibs_history": FORMAT} | asdict(header))]
        self._file: TextIO = path.open("w", encoding="ascii", newline="\n")

    def answered(
        self, ask: Ask, seqs: Sequence[Sequence[int]], values: Sequence[Any], *, replay: bool
    ) -> None:
        """Record a request that was answered with items: ranges of seqs, and the values in the same order."""
        rest = f'"seqs":{json.dumps(seqs)},"values":{json.dumps(values)},"replay":{json.dumps(replay)}'
        self._write(ask, Outcome.OK, rest)

    def unanswered(self, ask: Ask, outcome: Outcome, error: str) -> None:
        """Record a request that was refused (``failed``), or whose fate is not known (``unknown``)."""
        self._write(ask, outcome, f'"error":{json.dumps(error)}')

    def end(self, audits: tuple[Audited, ...] = ()) -> None:
        """Write the last line and close the file."""
        with self._lock:
            end = End(self.requests, audits)
            self._waiting.append(json.dumps({"end": True} | asdict(end)))
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

    def _write(self, ask: Ask, outcome: Outcome, rest: str) -> None:
        line = (
            f'{{"client":{json.dumps(ask.client)},"key":{json.dumps(ask.key)},"queue":{self._queue},'
            f'"count":{ask.wanted},"invoked":{ask.invoked},"completed":{ask.completed},'
            f'"outcome":"{outcome.value}",{rest}}}'
        )
        with self._lock:
            self.requests += 1
            self._waiting.append(line)
            if len(self._waiting) >= _BUFFERED:
                self._flush()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        self._file.write("\n".join(lines) + "\n")


class HistoryReader:
    """Reads a history from lines, one at a time, once.

    Raises:
        HistoryError: a line is not JSON, of an unknown version, or lacks a field; it names the line.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = enumerate(lines, 1)
        self._end: End | None = None
        self._read = 0
        first = next(self._lines, None)
        if first is None:
            raise HistoryError(1, "the history is empty")
        self._header = fields.header(*first)

    @property
    def header(self) -> Header:
        """What the history is of."""
        return self._header

    @property
    def end(self) -> End | None:
        """The last line, once the records were read; None where the history was cut off."""
        return self._end

    @property
    def records(self) -> Iterator[Record]:
        """The requests, in the order of the file. A file can be read once."""
        for line, text in self._lines:
            if not text.strip():
                continue
            body = fields.parse(line, text)
            if self._end is not None:
                raise HistoryError(line, "stands after the end line")
            if body.get("end") is True:
                self._finish(line, body)
            else:
                self._read += 1
                yield self._record(line, body)

    def _finish(self, line: int, body: dict[str, Any]) -> None:
        self._end = fields.end(line, body)
        if self._end.requests != self._read:
            raise HistoryError(line, f"{self._end.requests} requests were written, {self._read} are here")

    def _record(self, line: int, body: dict[str, Any]) -> Record:
        queue = fields.text(line, body, "queue")
        if queue != self._header.queue:
            raise HistoryError(line, f'is of queue "{queue}", but the header says "{self._header.queue}"')
        outcome = fields.outcome(line, body)
        ok = outcome is Outcome.OK
        invoked, completed = fields.whole(line, body, "invoked"), fields.whole(line, body, "completed")
        if completed < invoked:
            raise HistoryError(line, '"completed" is before "invoked"')
        return Record(
            client=str(fields.needed(line, body, "client")),
            key=fields.key(line, body),
            invoked=invoked,
            completed=completed,
            outcome=outcome,
            count=fields.whole(line, body, "count", least=1),
            pieces=pieces_of(*fields.items(line, body)) if ok else (),
            replay=fields.truth(line, body, "replay") if ok else False,
            error=None if ok else str(body.get("error") or ""),
            line=line,
        )


class _Opened(HistoryReader, AbstractContextManager["_Opened"]):
    """A reader that owns its file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        try:
            super().__init__(file)
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_history(path: Path) -> _Opened:
    """Open a history; use it in a ``with``.

    Raises:
        HistoryError: as `HistoryReader`.
        OSError: the file can't be opened.
    """
    return _Opened(path.open(encoding="utf-8", errors="surrogateescape", newline="\n"))
