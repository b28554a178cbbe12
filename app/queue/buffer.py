"""The buffer of an opening: the values that were drawn from a source and are not granted yet."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ..ledger.serve import Drawn, End, MarkOf
from ..sources import MAX_SEQ, Source
from .pull import pull_texts

if TYPE_CHECKING:
    from ..iterators import Hold
    from .pool import Pool

PULL_BYTES: Final = 4 * 1024 * 1024
"""Bytes of values after which a pull makes do with what it has."""

_MARKS: Final[dict[str, MarkOf]] = {"replay": "digest", "after": "text"}


class Buffer:
    """The values of one opening that were drawn and are not granted yet. Its lock guards them.

    ``number`` is that of the opening. ``first`` is the seq of the first value; of a source whose values
    belong to no seq it counts from 1 in this opening. ``pool`` has the threads that pull for it.
    """

    def __init__(
        self, number: int, pool: Pool, source: Source | None, cursor: int, end: End | None = None
    ) -> None:
        self.number = number
        self.source = source
        self.counted = source is None or source.counted
        self.first = cursor + 1 if self.counted else 1
        self.end = end
        self._mark = _MARKS.get(source.resume) if source else None
        self.pool = pool
        self.promised = 0  # values that running pulls are to bring; the loop's, as is the next
        self.pulls = 0
        self._texts: list[str] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._texts)

    def pull(self, held: Hold[Any], most: int) -> bool:
        """Pull values and append them, while the iterator is held: so they are in its order.

        Returns:
            Whether the source failed in this pull.
        """
        assert self.source is not None  # noqa: S101  # nobody pulls what was never opened
        room = MAX_SEQ + 1 - self.first - len(self._texts)
        texts, end = pull_texts(self.source, held, min(most, room), PULL_BYTES) if room > 0 else ([], None)
        with self._lock:
            known = self.end
            self._texts += texts
            self.end = End("exhausted") if len(texts) >= room else end or self.end
            return known is None and self.end is not None and self.end.ending == "failed"

    @property
    def next(self) -> int:
        """The seq of the value that would be drawn next."""
        with self._lock:
            return self.first + len(self._texts)

    def head(self, items: int) -> Drawn | None:
        """The first values, as a round may grant them; with the end, if it comes right after them."""
        with self._lock:
            texts = tuple(self._texts[:items])
            end = self.end if len(texts) == len(self._texts) else None
            if not texts and end is None:
                return None
            return Drawn(self.first, texts, end, self._mark, 0 if self.counted else self.number)

    def drop(self, count: int) -> None:
        """Drop the first values, which are granted on disk."""
        if count > 0:
            with self._lock:
                del self._texts[:count]
                self.first += count
