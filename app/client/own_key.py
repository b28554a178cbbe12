"""An idempotency key of the user's own: what it may be, and how a header carries it."""

from __future__ import annotations

import re
from typing import Final

KEY_BYTES: Final = 255
_KEY: Final = re.compile(rf"(?! )[ -~]{{1,{KEY_BYTES}}}(?<! )")
_SHOWN: Final = 64


def checked(key: str) -> str:
    """Return a key; refuse one that a header can't carry as it is, before anything is sent.

    Raises:
        TypeError: It is no text.
        ValueError: It is not 1 to 255 printable ASCII characters, or a blank is its first or last one.
    """
    if not isinstance(key, str):
        raise TypeError(f"an idempotency key must be a text, not a {type(key).__name__}")
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"the idempotency key {key[:_SHOWN]!a} ({len(key)} characters) is not 1 to {KEY_BYTES} "
            "printable ASCII characters without a blank at its begin or end"
        )
    return key


def field_of(key: str) -> str:
    """The key as the header has it: quoted (RFC 8941) if it would itself be read as a quoted one."""
    if not key.startswith('"'):
        return key
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
