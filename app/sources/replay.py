"""Replay: run a source again from its start and skip what was handed out before the restart.

That is right only for a source that yields the same values each time. A replay that raises, ends early, or
whose last value has another digest than the ledger kept raises ``SourceChanged``. The values in between are
not encoded or compared: the replay skips them at the speed of the source.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from typing import Any, Final, Protocol

from ..errors import SourceChanged, SourceClosed
from ..marks import digest
from ..quote import message_of, quoted
from .encode import Encode

log = logging.getLogger("dibs.sources")

_LONGEST_CHUNK: Final = 65_536
_CHUNK_SECONDS: Final = 0.05

CURE: Final = (
    "It is not the source that the cursor was counted on. "
    "Bring back what it was (function, arguments, file) and retry the queue, or delete it and define it anew"
)
CURE_OF_A_FUNCTION: Final = (
    f'{CURE}. If its values need not repeat, say so with @threadsafe_generator(resume="anew"); '
    "if it can go on by itself, let it take resume_at"
)


class Stop(Protocol):
    """A ``threading.Event``, or an object like one: a replay ends soon after it is set."""

    def is_set(self) -> bool:
        """Whether the replay is to end."""


def replay(
    values: Iterator[object],
    encode: Encode,
    cursor: int,
    mark: str | None,
    stop: Stop | None = None,
    *,
    formerly: Callable[[Any], object] | None = None,
) -> None:
    """Skip the first ``cursor`` values; the last one must have the digest ``mark``.

    If instead ``formerly`` of it has (what an older release gave in its place), that is a warning in the log.
    Without a mark (the cursor was advanced by an operator) nothing is compared. ``stop`` is looked at
    between chunks of about a twentieth of a second, or of one value where the source is slower.

    Raises:
        SourceChanged: it ended early, raised, or the last value differs.
        SourceClosed: ``stop`` was set.
    """
    if not cursor:
        return
    skipped = _skip(values, cursor if mark is None else cursor - 1, cursor, stop)
    if mark is None:
        return
    try:
        value = next(values)
        text = encode(value)
    except StopIteration:
        raise _ended(skipped, cursor) from None
    except Exception as error:
        raise _raised(skipped, cursor, error) from error
    if digest(text) == mark:
        return
    before = None if formerly is None else encode(formerly(value))
    if before is None or digest(before) != mark:
        raise SourceChanged(f"value {cursor} is now {quoted(text)}, but another one was handed out")
    log.warning(
        "value %d was handed out as %s by an older release and is read as %s now; the queue goes on after it",
        cursor,
        quoted(before),
        quoted(text),
    )


def _skip(values: Iterator[object], skip: int, cursor: int, stop: Stop | None) -> int:
    done = 0
    chunk = 1
    while done < skip:
        if stop is not None and stop.is_set():
            raise SourceClosed(f"stopped while {cursor} values were replayed, after {done}")
        wanted = min(chunk, skip - done)
        began = time.monotonic()
        dropped, error = _drop(values, wanted)
        done += dropped
        if error is not None:
            raise _raised(done, cursor, error) from error
        if dropped < wanted:
            raise _ended(done, cursor)
        quick = time.monotonic() - began < _CHUNK_SECONDS
        chunk = min(chunk * 2, _LONGEST_CHUNK) if quick else max(chunk // 2, 1)
    return done


def _drop(values: Iterator[object], limit: int) -> tuple[int, Exception | None]:
    """Drop values without a step of Python each; how many came is known even where one raises."""
    came = count()
    try:
        deque(zip(islice(values, limit), came, strict=False), maxlen=0)
    except Exception as error:  # the source's own; it is told as the cause
        return next(came), error
    return next(came), None


def _ended(done: int, cursor: int) -> SourceChanged:
    return SourceChanged(f"the source ended after {done} values, but {cursor} were handed out")


def _raised(done: int, cursor: int, error: Exception) -> SourceChanged:
    return SourceChanged(
        f"the source raised {type(error).__name__} at value {done + 1}, "
        f"but {cursor} were handed out: {quoted(message_of(error))}"
    )


def finalizer(values: Iterator[object]) -> Callable[[], object]:
    """The function that ends ``values``: a generator's own ``close``, or one that does nothing."""
    close: Callable[[], object] | None = getattr(values, "close", None)
    return close if callable(close) else lambda: None


@contextmanager
def abandon(values: Iterator[object]) -> Iterator[None]:
    """Finalize ``values`` at once when the work inside the ``with`` block fails."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the failure that is told is the first one
            finalizer(values)()
        raise
