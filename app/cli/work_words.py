"""The words of a command, filled in for one item; and what stands for it in its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

HOLE: Final = "{}"


class Words:
    """A command line with holes.

    ``{}`` stands for the value, in any word and as often as wanted. Without one, the value is put last, as
    xargs does, unless it is given another way (``append`` false). There is no shell between.
    """

    def __init__(self, words: Sequence[str], *, append: bool = True) -> None:
        filled = append and not any(HOLE in word for word in words)
        self._words = (*words, HOLE) if filled else tuple(words)

    @property
    def program(self) -> str | None:
        """What is run; None where that depends on the value."""
        return None if HOLE in self._words[0] else self._words[0]

    def filled(self, value: Any) -> list[str]:
        """The command line for this value."""
        text = text_of(value)
        return [word.replace(HOLE, text) for word in self._words]


def text_of(value: Any) -> str:
    """A text as it is; anything else as JSON, without spaces."""
    return value if isinstance(value, str) else compact(value)


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def environment(base: Mapping[str, str], *, queue: str, seq: int, attempt: int, url: str) -> dict[str, str]:
    """What a command finds in its environment, beside what was there. A ``dibs`` in it finds the server."""
    told = {"DIBS_QUEUE": queue, "DIBS_SEQ": str(seq), "DIBS_ATTEMPT": str(attempt), "DIBS_URL": url}
    return {**base, **told}
