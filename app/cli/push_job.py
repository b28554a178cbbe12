"""Pushes one file into one queue: finds its stream, pushes the new lines, and tells the result."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from .exits import FAILED, INTERRUPTED, fail, tell
from .http import detail
from .push_bar import Bar
from .push_known import Family, Place, options_of, place
from .push_lines import BadLine, Input, Part, Shape, parts
from .push_stream import Stream, StreamRefused, Sums
from .tables import span

if TYPE_CHECKING:
    from rich.console import Console

    from .http import Api

PART: Final = 2 * 1024 * 1024
LAST: Final = 5.0
"""Seconds for the server to tell, after an interruption, how much is in."""
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Source:
    """Something with lines. ``pipe``: it can be read once only; ``size`` in bytes, where it is known."""

    name: str
    file: BinaryIO
    pipe: bool = True
    size: int | None = None


class Push:
    """Pushes one source. ``console`` is for the bar; ``last_line``: a last line without its end is one."""

    def __init__(
        self,
        api: Api,
        queue: str,
        source: Source,
        shape: Shape,
        console: Console,
        *,
        last_line: bool = False,
    ) -> None:
        self._api = api
        self._queue = queue
        self._source = source
        self._shape = shape
        self._input = Input(source.file, shape, pipe=source.pipe, last_line=last_line)
        self._began = time.monotonic()
        self._bar = Bar(source.name, source.size, console)
        self._known = self._now = Sums()
        self._in_the_air: Stream | None = None

    def run(self, *, again: bool = False) -> bool:
        """Push the new lines and tell the result; a failure ends the command with a sentence.

        Returns:
            Whether that was all: False where the last line has no end yet.
        """
        try:
            with self._bar:
                if self._source.pipe:
                    self._push_pipe()
                else:
                    self._push_file(again=again)
        except BadLine as bad:
            self._fail(str(bad))
        except StreamRefused as refused:
            self._fail(self._why(refused))
        except OSError as error:
            self._fail(error.strerror or str(error))
        except KeyboardInterrupt:
            self._interrupted()
        tell(self._told())
        return not self._input.waits

    def _push_pipe(self) -> None:
        stream = self._stream(str(uuid.uuid4()))
        stream.ask()  # whether there is such a queue, before anything is waited for
        self._send(stream, parts(self._input.lines(), self._shape, PART))

    def _push_file(self, *, again: bool) -> None:
        """Go on with the stream of this file; or begin one, whose key is made of its first part."""
        head = self._shape.content(1, next(self._input.lines(), None) or b"")
        family = Family(self._api, self._queue, head, self._shape)
        known = None if again else self._place(family)
        if known is None:
            rest = parts(self._input.lines(), self._shape, PART)
            first = next(rest, None)
            if first is not None:
                self._send(self._stream(family.key(first.data, again=again)), chain([first], rest))
            return
        self._known = self._now = sums = known.begun.sums
        lines = self._input.lines(known.offset)
        rest = parts(lines, self._shape, PART, number=sums.lines, read=known.offset)
        self._send(self._stream(known.begun.key, sums), rest)

    def _place(self, family: Family) -> Place | None:
        """How far the server knows this file; None if the file is new."""
        known = place(self._input.lines(), self._shape, family.of_options(self._shape))
        if known is not None:
            return known
        for other in family.other_shapes(self._shape):
            if place(self._input.lines(), other, family.of_options(other)) is not None:
                self._fail(
                    f"it was pushed before with other options ({options_of(other) or 'none'}), so nothing was"
                    " pushed now; --again pushes all of it with these"
                )
        return None

    def _stream(self, key: str, sums: Sums | None = None) -> Stream:
        return Stream(self._api, self._queue, key, sums=sums, full=self._full)

    def _full(self, seconds: float, why: str) -> None:
        self._bar.note(
            f"{self._source.name}: {why}; it goes on when there is room, asked every {seconds:g} s"
        )

    def _send(self, stream: Stream, rest: Iterable[Part]) -> None:
        try:
            for part in rest:
                self._in_the_air = stream
                stream.send(part.data)
                self._in_the_air = None
                self._now = stream.sums
                self._bar.at(part.read, self._now.lines, self._seconds(), self._now.lines - self._known.lines)
        finally:
            self._now = stream.sums

    def _seconds(self) -> float:
        return time.monotonic() - self._began

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
        goes_on = "" if self._source.pipe else "; the same command goes on from there"
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
        waits = "; its last line has no end yet and waits (--last-line takes it)" if self._input.waits else ""
        if known.bytes:
            return f"{self._source.name}: {_lines(known.items)} known, {new:,} new{by_key}{waits}"
        rate = f" in {span(seconds)} ({new / seconds:,.0f}/s)" if new and seconds > 0 else ""
        return f"{self._source.name}: {_lines(new)} pushed to {self._queue}{by_key}{rate}{waits}"


def _lines(count: int) -> str:
    return f"{count:,} line" if count == 1 else f"{count:,} lines"
