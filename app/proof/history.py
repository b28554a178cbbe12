"""The history on disk: JSON lines, written while the load runs, read as a stream.

::

    {"dibs_history": 3, "kind": "takes", "queue": "orders", "cursor": 0, …}                    the header
    {"op": "take", "client": "3", "key": "9f…-17", "count": 2, "invoked": 812, "completed": 990,
     "outcome": "ok", "seqs": [[1, 2]], "values": [1, 2], "replay": false}                     (one line)
    {"op": "take", "client": "4", "key": "9f…-18", "count": 2, "invoked": 815, "completed": 999,
     "outcome": "unknown", "error": "ReadError"}                                   its reply was lost
    {"op": "push", …, "values": [{"job": 1}, "job 2"], "names": ["a", null], "seqs": [[1, 2]], "known": [], …}
    {"op": "work", …, "entries": [], "outcomes": [], "max": 2, "ttl": 1.5,
     "lease": {"token": "t1", "expires_in": 1.499, "seqs": [[1, 2]], "values": […], "attempts": [1, 1]}, …}
    {"op": "work", …, "entries": [{"do": "ack", "token": "t1", "seqs": [[1, 1]]}],
     "outcomes": [[[1, 1, "acked"]]], "max": 0, "ttl": 0, "lease": null, …}
    {"op": "note", "what": "crash", "client": "c1", "at": 20, "until": 20, "token": "t1"}
    {"end": true, "lines": 6, "inside": [[2, "leased", 1]], "audits": [{"cursor": 2, …}], "steady": true}

A request that is sent again is a line of its own with the same key. Durations are seconds, as on the wire.
Unknown fields are ignored, so that the format can grow; a missing or wrong one is an error that names its
line. Version 1 had takes only, without ``op``, with ``requests`` in place of ``lines``; version 2 had work.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import PlainValidator, TypeAdapter, ValidationError

from .errors import HistoryError
from .fields import first_problem, spans_of
from .kinds import Kind
from .records import (
    End,
    Exchange,
    Exchanged,
    Header,
    History,
    Lease,
    Note,
    Outcome,
    Push,
    Pushed,
    Request,
    Take,
    Taken,
)
from .values import pieces_of, size

FORMAT: Final = 3
"""The version of the format that is written."""

_KINDS: Final = {1: Kind.TAKES, 2: Kind.WORK}
"""The older versions that are read, and the kind of history that each had."""

_OPS: Final = {Kind.TAKES: ("take", "note"), Kind.WORK: ("push", "work", "note")}
_BUFFERED: Final = 1 << 17
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode

Body = Mapping[str, Any]


def _taken(body: Body) -> Taken:
    for name in ("seqs", "values"):
        if name not in body:
            raise ValueError(f'"{name}" is missing')
    seqs, values = spans_of(body["seqs"]), body["values"]
    if not isinstance(values, list):
        raise ValueError('"values" must be a list')  # noqa: TRY004  # pydantic expects it of a validator
    if size(seqs) != len(values):
        raise ValueError(f"{size(seqs)} seqs, but {len(values)} values")
    return Taken(pieces_of(seqs, values))


_HEADER: Final = TypeAdapter(Header)
_END: Final = TypeAdapter(End)
_NOTE: Final = TypeAdapter(Note)
_REQUESTS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "take": TypeAdapter(Request[Take, Annotated[Taken, PlainValidator(_taken)]]),
    "push": TypeAdapter(Request[Push, Pushed]),
    "work": TypeAdapter(Request[Exchange, Exchanged]),
}


class HistoryWriter(AbstractContextManager["HistoryWriter"]):
    """Writes one history; its methods may be called from any number of threads.

    What is written after `end` is refused. Without it, the history was cut off.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._lines = 0
        self._lock = threading.Lock()
        self._file = path.open("w", encoding="ascii", newline="\n", buffering=_BUFFERED)
        self._file.write(_encode({"dibs_history": FORMAT} | asdict(header)) + "\n")

    def request(self, asked: Body, times: tuple[int, int], outcome: Outcome, answer: Body) -> None:
        """Record a request: its content, when it began and ended, and what is known of its answer."""
        invoked, completed = times
        self._write({**asked, "invoked": invoked, "completed": completed, "outcome": outcome.value, **answer})

    def note(self, note: Note) -> None:
        """Record something that the test did."""
        self._write({"op": "note", **asdict(note)})

    def end(self, end: End) -> None:
        """Write the last line and close the file; the number of lines is filled in."""
        with self._lock:
            self._file.write(_encode({"end": True} | asdict(end) | {"lines": self._lines}) + "\n")
            self._file.close()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def _write(self, body: Body) -> None:
        line = _encode(body) + "\n"
        with self._lock:
            self._file.write(line)
            self._lines += 1


def read_history(path: Path) -> History:
    """Read a history.

    Raises:
        HistoryError: a line is not JSON, of an unknown version, or lacks a field; it names the line.
        OSError: the file can't be opened.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return read_lines(file)


def read_lines(lines: Iterable[str]) -> History:
    """Read a history from its lines. Raises HistoryError as `read_history` does."""
    numbered = enumerate(lines, 1)
    history = History(_header(*next(numbered, (1, ""))))
    for number, text in numbered:
        if not text.strip():
            continue
        body = _parsed(number, text)
        if history.end is not None:
            raise HistoryError(number, "stands after the end line")
        if body.get("end") is True:
            history.end = _validated(number, _END, body)
            if history.end.lines != len(history.lines):
                told = f"{history.end.lines} lines were written, {len(history.lines)} are here"
                raise HistoryError(number, told)
        else:
            history.lines.append(_line(number, body, history.header))
    return history


def _line(number: int, body: Body, header: Header) -> Any:
    op, ops = body.get("op", "take"), _OPS[header.kind]
    if op not in ops:
        told = " or ".join(", ".join(ops).rsplit(", ", 1))
        raise HistoryError(number, f'"op" must be {told}, not {op!r}')
    if body.get("queue", header.queue) != header.queue:
        raise HistoryError(number, f'is of queue "{body["queue"]}", but the header says "{header.queue}"')
    if op == "note":
        return _validated(number, _NOTE, body)
    answer = body if body.get("outcome") == Outcome.OK else None
    request = _validated(number, _REQUESTS[op], {**body, "line": number, "asked": body, "answer": answer})
    if request.completed < request.invoked:
        raise HistoryError(number, '"completed" is before "invoked"')
    if problem := _mismatch(request.asked, request.answer):
        raise HistoryError(number, problem)
    return request


def _parsed(number: int, text: str) -> Body:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HistoryError(number, f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise HistoryError(number, "not a JSON object")
    return body


def _header(number: int, text: str) -> Header:
    """The header; its version is checked before anything else in it."""
    if not text:
        raise HistoryError(1, "the history is empty")
    body = _parsed(number, text)
    version = body.get("dibs_history")
    if version is None:
        raise HistoryError(1, 'not a history of dibs: the first line has no "dibs_history"')
    if version not in {*_KINDS, FORMAT}:
        raise HistoryError(1, f"version {version!r} is not known; this dibs reads 1 to {FORMAT}")
    return _validated(1, _HEADER, {**body, "kind": _KINDS.get(version, body.get("kind", Kind.TAKES))})


T = TypeVar("T")


def _validated(number: int, adapter: TypeAdapter[T], body: Body) -> T:
    try:
        return adapter.validate_python(body)
    except ValidationError as error:
        raise HistoryError(number, first_problem(error)) from None


def _mismatch(asked: Any, answer: Any) -> str | None:
    """A contradiction between the fields of a request, if there is one."""
    match asked, answer:
        case Push(values, names), _ if len(names) != len(values):
            return '"names" must be a list of texts and nulls, one a value'
        case Push(values), Pushed(seqs) if len(seqs) != len(values):
            return f"{len(values)} values, but {len(seqs)} seqs"
        case Push(values), Pushed(known=known) if any(at >= len(values) for at in known):
            return '"known" must be a list of positions'
        case Exchange(entries), Exchanged(outcomes) if len(outcomes) != len(entries):
            return f"{len(entries)} entries, but {len(outcomes)} outcomes"
        case _, Exchanged(lease=Lease(seqs=seqs, values=values, attempts=attempts)) if not (
            len(seqs) == len(values) == len(attempts)
        ):
            return f"{len(seqs)} seqs, {len(values)} values and {len(attempts)} attempts"
    return None
