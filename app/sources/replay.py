"""Replay: run a source again from its start and skip what was handed out before the restart.

That is right only for a source that yields the same values each time. What can be told is told: a replay
that raises, ends early, or whose last value has another digest than the ledger kept is ``SourceChanged``.
The values in between aren't encoded or compared: they are skipped at the speed of the source.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import count, islice
from typing import Final, Protocol

from ..errors import SourceChanged, SourceClosed
from .encode import Encode

_LONGEST_CHUNK: Final = 65_536
_CHUNK_SECONDS: Final = 0.05

CURE: Final = (
    "It is not the source that the cursor was counted on. "
    "Bring back what it was (function, arguments, file) and retry the queue, or delete it and define it anew"
)


class Stop(Protocol):
    """A ``threading.Event``, or what looks like one: set it and a replay ends soon."""

    def is_set(self) -> bool:
        """Whether to end."""


def digest(text: str) -> str:
    """Of a value's JSON text: 128 bits of BLAKE2b (RFC 7693), in hex."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def replay(
    values: Iterator[object], encode: Encode, cursor: int, mark: str | None, stop: Stop | None = None
) -> None:
    """Skip the first ``cursor`` values; the last one must have the digest ``mark``.

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
        text = encode(next(values))
    except StopIteration:
        raise _ended(skipped, cursor) from None
    except Exception as error:
        raise _raised(skipped, cursor, error) from error
    if digest(text) != mark:
        raise SourceChanged(
            f"value {cursor} is now {_shown(text)}, which is not what was handed out "
            f"(digest {digest(text)}, handed out {mark}). {CURE}"
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
    return SourceChanged(f"the source ended after {done} values, but {cursor} were handed out. {CURE}")


def _raised(done: int, cursor: int, error: Exception) -> SourceChanged:
    return SourceChanged(
        f"the source raised {type(error).__name__} at value {done + 1}, "
        f"but {cursor} were handed out: {_shown(str(error))}. {CURE}"
    )


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004


def finalizer(values: Iterator[object]) -> Callable[[], object]:
    """What ends ``values``: a generator's own ``close``, or nothing."""
    close: Callable[[], object] | None = getattr(values, "close", None)
    return close if callable(close) else lambda: None


@contextmanager
def abandon(values: Iterator[object]) -> Iterator[None]:
    """Finalize ``values`` at once when what is done with them fails."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the failure that is told is the first one
            finalizer(values)()
        raise
