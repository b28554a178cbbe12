"""The command line and the environment of a job: the words of a command, filled in for one item."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .words import text_of

HOLE: Final = "{}"
_HOLES: Final = re.compile(r"\{\}|(?<!\$)\{(?:\.|/|//|/\.|#)\}")
"""``${#}`` and the like are a shell's own."""
_SUFFIX: Final = re.compile(r"\.[^/.]+\Z")


class CommandTemplate:
    """A command line with holes, as GNU parallel has them.

    In any word and as often as wanted ``{}`` stands for the value, ``{.}`` for it without its extension,
    ``{/}`` for what follows its last slash, ``{//}`` for the folder before that (``.`` where there is none),
    ``{/.}`` for the file name without its extension, ``{#}`` for the item's seq. Without any of them the
    value is put last, as xargs does, unless it is given another way (``append`` false). There is no shell
    between.
    """

    def __init__(self, words: Sequence[str], *, append: bool = True) -> None:
        filled = append and not any(_HOLES.search(word) for word in words)
        self._words = (*words, HOLE) if filled else tuple(words)

    @property
    def program(self) -> str | None:
        """The program; None where it depends on the value."""
        return None if _HOLES.search(self._words[0]) else self._words[0]

    def filled(self, value: Any, seq: int) -> list[str]:
        """The command line for this item. What was filled in is not looked at again."""
        text = text_of(value)
        return [_HOLES.sub(lambda hole: _filling(hole[0], text, seq), word) for word in self._words]


def _filling(hole: str, text: str, seq: int) -> str:
    if hole == HOLE:
        return text
    if hole == "{#}":
        return str(seq)
    if hole == "{//}":
        return _folder(text)
    base = text.rpartition("/")[2] if "/" in hole else text
    return base if hole == "{/}" else _SUFFIX.sub("", base)


def _folder(text: str) -> str:
    """The folder, as dirname gives it: of ``a/b/`` it is ``a``, of ``/a`` it is ``/``."""
    folder = text.rstrip("/").rpartition("/")[0].rstrip("/")
    return folder or ("/" if text.startswith("/") else ".")


def environment(
    base: Mapping[str, str], *, queue: str, seq: int, attempt: int, url: str, traceparent: str | None = None
) -> dict[str, str]:
    """The environment of a command: ``base`` and the job. A ``dibs`` that it runs finds the server.

    ``traceparent``: with which the item was pushed; else the command has that of the worker, if any.
    """
    told = {"DIBS_QUEUE": queue, "DIBS_SEQ": str(seq), "DIBS_ATTEMPT": str(attempt), "DIBS_URL": url}
    if traceparent is not None:
        told["TRACEPARENT"] = traceparent
    return {**base, **told}
