"""Pushes one file or pipe into one queue and tells the result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final, NoReturn

from rich.console import Console

from ..client.errors import ClientError
from .exits import FAILED, INTERRUPTED, code_of, fail, tell
from .http import Api
from .push_lines import BadLine, Input, Line, Shape, chunks, lines
from .push_marks import key_of, last_marks, new_push, options_of, place, prefix_of
from .push_progress import Bar
from .push_upload import Upload
from .words import lines as counted
from .words import span

LAST: Final = 5.0
"""Seconds for the answer to what is in hand at an interruption."""


class Push:
    """Pushes one source. ``queue`` is as the server told it; ``console`` is for the bar."""

    def __init__(
        self, api: Api, queue: Mapping[str, Any], source: Input, shape: Shape, console: Console
    ) -> None:
        self.name = source.name
        self._api = api
        self._queue = queue["queue"]
        self._source = source
        self._shape = shape
        self._began = time.monotonic()
        self._bar = Bar(source.name, source.size, console)
        self._upload = Upload(api, queue)
        self._known = 0

    def run(self, *, again: bool = False) -> bool:
        """Push the lines that the queue does not know, and tell the result; a failure ends the command.

        ``again``: all lines, known or not.

        Returns:
            Whether that was all: False where the last line has no end yet.
        """
        try:
            with self._bar:
                self._send(0 if self._source.pipe else self._begin(again=again))
        except (BadLine, ClientError) as error:
            self._fail(str(error), code_of(error))
        except OSError as error:
            self._fail(error.strerror or str(error))
        except KeyboardInterrupt:
            self._interrupted()
        tell(self._told())
        return not self._source.waits

    def _begin(self, *, again: bool) -> int:
        """Find out how far the queue knows the file: the number of the last line that it knows."""
        chunk = next(chunks(self._lines()), None)
        if chunk is None or self._shape.keyed:
            return 0
        prefix = prefix_of(chunk[0])
        marks = last_marks(self._api, self._queue, prefix)
        mark = None if again else place(self._lines(), marks)
        if mark is not None and mark.push.options != options_of(self._shape):
            self._fail(
                "it was pushed before with another --delay or --priority, so nothing was pushed now; --again"
                " pushes all of it with these"
            )
        push = new_push(self._shape, chunk, marks, again=again) if mark is None else mark.push
        self._upload.mark = partial(key_of, prefix, push)
        self._known = 0 if mark is None else mark.number
        return self._known

    def _lines(self) -> Iterator[Line | None]:
        return lines(self._source.lines(self._shape.end), self._shape)

    def _send(self, known: int) -> None:
        """Push what comes after the line that is known."""
        upload = self._upload
        for chunk in chunks(line for line in self._lines() if line is None or line.number > known):
            upload.push(chunk)
            self._bar.at(chunk[-1].read, chunk[-1].number, self._seconds(), upload.new)

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _fail(self, why: str, code: int = FAILED) -> NoReturn:
        fail(f"{self.name}: {why}{self._so_far(' before that')}", code)

    def _interrupted(self) -> NoReturn:
        try:
            known = self._upload.finish(LAST)
        except KeyboardInterrupt:
            known = False
        so_far = self._so_far("", "" if known else "at least ") or "; nothing new is known to be in"
        goes_on = "" if self._source.pipe else "; the same command goes on from there"
        fail(f"{self.name}: interrupted{so_far}{goes_on}", INTERRUPTED)

    def _so_far(self, before: str, least: str = "") -> str:
        new = self._upload.new
        return f"; {least}{counted(new)}{before} {'is' if new == 1 else 'are'} in" if new else ""

    def _told(self) -> str:
        new, seconds = self._upload.new, self._seconds()
        known = self._known + self._upload.known
        waits = (
            "; its last line has no end yet and waits (--last-line takes it)" if self._source.waits else ""
        )
        if known:
            return f"{self.name}: {counted(known)} known, {new:,} new{waits}"
        rate = f" in {span(seconds)} ({new / seconds:,.0f}/s)" if new and seconds > 0 else ""
        return f"{self.name}: {counted(new)} pushed to {self._queue}{rate}{waits}"
