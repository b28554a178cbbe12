"""Standard output and standard error: each may be closed, full, or have nobody who reads it.

Values that were taken and could not be shown are named on the other one, and the exit code tells, too.
"""

from __future__ import annotations

import errno
import json
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..errors import DibsError
from ..inert import inert_json

_STREAMS: Final = (0, 1, 2)
_BROKEN: Final = frozenset({errno.EBADF, errno.EIO, errno.ENOSPC, errno.EPIPE})
"""The errors of writing to a terminal, a pipe or a full disk."""


class Unwritten(DibsError):
    """Something could not be written to stdout. ``abandoned``: its reader had enough (EPIPE)."""

    def __init__(self, error: OSError) -> None:
        self.why = error.strerror or str(error)
        self.abandoned = error.errno == errno.EPIPE
        super().__init__(f"the output could not be written: {self.why}")


def fill_closed() -> None:
    """Open something in the place of standard streams that are closed, so that using one fails as it should.

    Otherwise the next file or socket that is opened gets the number 1, and what is printed goes there.
    Reading from a closed stdin and writing to a closed stdout fail with EBADF, as with the coreutils. Nobody
    can hear that of stderr, so what is written there is dropped.
    """
    for number in _STREAMS:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY)  # the lowest that is free
    if sys.stdout is None:  # type: ignore[unreachable, unused-ignore]  # what Python makes of a closed one
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # it lives as long as the process
    if sys.stderr is None:  # type: ignore[unreachable, unused-ignore]
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


@contextmanager
def writing() -> Iterator[None]:
    """Write to stdout inside; what is still held back is written at the end.

    Raises:
        Unwritten: It can't be. What is left of it is dropped, so that Python's own end does not fail with it.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop(1)
        raise Unwritten(error) from error


def put(text: str) -> None:
    """Write a text to stdout.

    Raises:
        Unwritten: It can't be.
    """
    with writing():
        sys.stdout.write(text)


def print_json(value: Any) -> None:
    """Print one JSON document, for programs."""
    put(f"{json_text(value)}\n")


def json_text(value: Any) -> str:
    """The text of a JSON document; nothing in it acts on a terminal."""
    return inert_json(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def until_abandoned() -> Iterator[None]:
    """Tell inside that a reader had enough, before the framework does, whose exit code 1 means a failure.

    Raises:
        Unwritten: Something was written to a pipe that nobody reads.
    """
    try:
        yield
    except BrokenPipeError as error:
        drop(1)
        raise Unwritten(error) from error


def is_unwritten(error: Exception) -> bool:
    """Whether a help text, a version or a usage could not be written. What is left of it is dropped."""
    broken = isinstance(error, OSError) and error.errno in _BROKEN and error.filename is None
    if broken:
        drop(1)
        drop(2)
    return broken


class Raw:
    """A standard stream without a buffer, for a thread of its own.

    A thread that is stuck in a write when the process ends would hold the lock of a buffer that Python wants
    to flush. It has what ``rich`` needs of a file. Its methods raise OSError.
    """

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The number of the stream."""
        return self._number

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._number)

    def write(self, text: str) -> int:
        """Write all of a text."""
        self.write_bytes(text.encode(errors="backslashreplace"))
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write all of it, however long its reader takes."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:  # another process that shares the pipe has made it so
                select.select([], [self._number], [])

    def flush(self) -> None:
        """Do nothing, as nothing is held back."""


def drop(number: int) -> None:
    """Drop whatever is still written to this descriptor."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, number)
    os.close(sink)
