"""Input as messages show it: printable ASCII, on one line, and at most 64 characters of it.

An answer or a log line must not be made large, or another line, by what somebody sent.
"""

from __future__ import annotations

from typing import Final

SHOWN: Final = 64
"""Characters of input in a message."""


def quoted(text: str) -> str:
    """The text in quotes, cut after 64 characters."""
    return ascii(cut(text))


def cut(text: str) -> str:
    """The text as it is, cut after 64 characters: for what is printable already."""
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def message_of(error: BaseException | None) -> str:
    """The whole message of an exception; that of a user's own class may raise where it is made."""
    try:
        return str(error)
    except Exception:
        return "(its message can't be shown)"


def bare(text: str) -> str:
    """As ``quoted``, without the quotes: for the name of a field."""
    return quoted(text)[1:-1]
