"""One file into one queue: which stream it is, what of it is new, and what is said in the end."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from .exits import FAILED, INTERRUPTED, fail, tell
from .http import detail
from .push_bar import Bar
from .push_lines import BadLine, Part, Shape, file_lines, parts, pipe_lines
from .push_stream import Changed, Stream, StreamRefused, Sums, remaining
from .tables import span

if TYPE_CHECKING:
    from rich.console import Console

    from .http import Api

PART: Final = 2 * 1024 * 1024
LAST: Final = 5.0
"""Seconds for the server to tell, after an interruption, how much is in."""
ROUNDS: Final = 8
"""Streams that one file can have at a time; one is always left free, so that the last one can be told."""
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Source:
    """Something with lines. ``path`` where it can be read again, ``size`` (bytes) where it is known."""

    name: str
    file: BinaryIO
    path: str | None = None
    size: int | None = None


class Push:
    """Pushes one source. ``console`` is for the bar."""

    def __init__(self, api: Api, queue: str, source: Source, shape: Shape, console: Console) -> None:
        self._api = api
        self._queue = queue
        self._source = source
        self._shape = shape
        self._began = time.monotonic()
        self._bar = Bar(source.name, source.size, console)
        self._known = self._now = Sums()
        self._in_the_air: Stream | None = None

    def run(self, *, again: bool) -> None:
        """Push what is new and say what became of it; what goes wrong ends the command with a sentence."""
        try:
            with self._bar:
                stream = self._find(again=again)
                self._known = self._now = stream.sums
                self._send(stream)
        except BadLine as bad:
            self._fail(str(bad))
        except StreamRefused as refused:
            self._fail(self._why(refused))
        except Changed:
            self._fail(
                f"it does not begin with what was pushed from it before ({_lines(self._known.lines)}): it has"
                " changed, or other options are given. Nothing was pushed; --again pushes all of it"
            )
        except OSError as error:
            self._fail(error.strerror or str(error))
        except KeyboardInterrupt:
            self._interrupted()
        tell(self._told())

    def _find(self, *, again: bool) -> Stream:
        """The stream that was begun last, or with ``again`` the one after it.

        A file's streams stand in a ring, and the server forgets the oldest first: so those that are known are
        neighbours, and the last of them is followed by one that is not.
        """
        if self._source.path is None:
            return self._asked(str(uuid.uuid4()))
        ring = [self._asked(_key_of(self._source.path, self._shape, number)) for number in range(ROUNDS)]
        begun = [stream.sums.bytes > 0 for stream in ring]
        last = next((n for n in range(ROUNDS) if begun[n] and not begun[(n + 1) % ROUNDS]), None)
        if last is None or not again:
            return ring[last or 0]
        if begun[(last + 2) % ROUNDS]:
            once_more = f"dibs push {self._queue} - < {self._source.name}"
            self._fail(f"it was pushed {ROUNDS - 1} times within a day; `{once_more}` does it once more")
        return ring[(last + 1) % ROUNDS]

    def _asked(self, key: str) -> Stream:
        stream = Stream(self._api, self._queue, key, full=self._full)
        stream.ask()
        return stream

    def _full(self, seconds: float, why: str) -> None:
        self._bar.note(
            f"{self._source.name}: {why}; it goes on when there is room, asked every {seconds:g} s"
        )

    def _send(self, stream: Stream) -> None:
        try:
            for part in remaining(self._parts(), self._known):
                if part.data:
                    self._in_the_air = stream
                    stream.send(part.data)
                    self._in_the_air = None
                self._now = stream.sums
                self._bar.at(part.read, self._now.lines, self._seconds(), self._now.lines - self._known.lines)
        finally:
            self._now = stream.sums

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _parts(self) -> Iterator[Part]:
        file = self._source.file
        lines = pipe_lines(file.fileno()) if self._source.path is None else file_lines(file)
        return parts(lines, self._shape, PART)

    def _why(self, refused: StreamRefused) -> str:
        why = detail(refused.response)
        if refused.response.status_code == _NOT_FOUND:
            return f"{why}; --create makes it"
        if refused.line is None:
            return why
        return f"line {refused.line:,}: {why.replace(f'line {refused.line}: ', '', 1)}"

    def _fail(self, why: str) -> NoReturn:
        fail(f"{self._source.name}: {why}{self._so_far()}", FAILED)

    def _interrupted(self) -> NoReturn:
        goes_on = "" if self._source.path is None else "; the same command goes on from there"
        if self._asked_last():
            so_far = self._so_far("") or "; nothing was pushed"
        else:
            new = self._now.lines - self._known.lines
            so_far = f"; at least {_lines(new)} {'is' if new == 1 else 'are'} in"
        fail(f"{self._source.name}: interrupted{so_far}{goes_on}", INTERRUPTED)

    def _asked_last(self) -> bool:
        """Whether it is known how much is in: of what was in the air, only the server knows."""
        stream = self._in_the_air
        if stream is None:
            return True
        try:
            return stream.ask_once(LAST)
        except KeyboardInterrupt:
            return False
        finally:
            self._now = stream.sums

    def _so_far(self, before: str = " before that") -> str:
        new = self._now.lines - self._known.lines
        return f"; {_lines(new)}{before} {'is' if new == 1 else 'are'} in" if new else ""

    def _told(self) -> str:
        now, known, seconds = self._now, self._known, self._seconds()
        new, twice = now.accepted - known.accepted, now.duplicates - known.duplicates
        by_key = f", {twice:,} known by their keys" if twice else ""
        if known.bytes:
            return f"{self._source.name}: {_lines(known.items)} known, {new:,} new{by_key}"
        rate = f" in {span(seconds)} ({new / seconds:,.0f}/s)" if new and seconds > 0 else ""
        return f"{self._source.name}: {_lines(new)} pushed to {self._queue}{by_key}{rate}"


def _lines(count: int) -> str:
    return f"{count:,} line" if count == 1 else f"{count:,} lines"


def _key_of(path: str, shape: Shape, number: int) -> str:
    """The same for the same file and mode, on every run. Queues have keys of their own."""
    mode = "json" if shape.json else "lines"
    named = json.dumps([mode, path, number])
    return f"dibs-push-{hashlib.sha256(named.encode(errors='surrogateescape')).hexdigest()}"
