"""Pulling values out of a source, bounded in number, bytes and seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..errors import PullTimeout
from ..ledger.serve import End
from ..quote import message_of
from .places import place_of

if TYPE_CHECKING:
    from ..iterators import Hold
    from ..sources import Source

log = logging.getLogger("dibs.queue")

MESSAGE_MOST: Final = 2_000
"""Characters of a failure's message that are kept."""

STEP_MOST: Final = 64
"""Values between two looks at bytes and seconds: with the largest values allowed, 16 MiB."""

BUDGET: Final = 0.25
"""Seconds after which a pull of many values from a slow source makes do with what it has."""


def pull_texts(source: Source, held: Hold[Any], count: int, most_bytes: int) -> tuple[list[str], End | None]:
    """Pull up to ``count`` values, and the source's end if it came.

    Fewer values are legal: a slow source, or one with large values, gives fewer. The steps double, so that
    bytes and seconds stay bounded between two looks at them.
    """
    texts: list[str] = list(held.take(1))
    size, until = size_of(texts), perf_counter() + BUDGET
    ended = not texts
    while not ended and len(texts) < count and size < most_bytes and perf_counter() < until:
        room = (most_bytes - size) * len(texts) // max(size, 1)
        step = max(1, min(len(texts), count - len(texts), room, STEP_MOST))
        more = held.take(step)
        texts += more
        size += size_of(more)
        ended = len(more) < step
    return texts, end_of(source) if ended else None


def size_of(texts: Iterable[Any]) -> int:
    """Bytes of JSON texts in UTF-8."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def end_of(source: Source) -> End | None:
    """The end of the source, if a short pull was its last."""
    state, cause = source.iterator.state, source.iterator.cause
    if state == "exhausted":
        return End("exhausted")
    if state == "failed":
        return failed(cause)
    return None


def failed(cause: BaseException | None, kind: str | None = None) -> End:
    """A failure with its cause and its place, as the ledger keeps it; a long message of a user is cut."""
    text = message_of(cause)[:MESSAGE_MOST].encode("utf-8", "replace").decode()
    return End("failed", kind or type(cause).__name__, text, place_of(cause))


def let_go(source: Source, name: str) -> None:
    """Close a source without waiting for a running pull: its generator ends when that pull returns.

    An exception of a user's ``finally`` is logged, in a line: it is no fault of ours.
    """
    try:
        source.close(timeout=0)
    except PullTimeout:
        return
    except Exception as error:
        end = failed(error)
        log.warning("the source of %s raised when it was closed: %s: %s", name, end.type, end.message)
