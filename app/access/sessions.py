"""The sessions of the page: a cookie in place of a token, so that no browser has to keep that."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from typing import Final

SECONDS: Final = 12 * 3600
"""How long a session lasts; it ends with its token, too, and with the server."""
_COOKIE: Final = re.compile(rb"([0-9a-z-]{1,64})\.([0-9]{1,12})\.([0-9a-f]{64})")


class Sessions:
    """Makes and reads cookies. Their key lives as long as the process: a copy of the ledger can't make one.

    ``now`` is a clock in milliseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._key = os.urandom(32)

    def cookie(self, token: str) -> str:
        """A cookie for the owner of the token with this id."""
        text = f"{token}.{self._now() // 1000 + SECONDS}"
        return f"{text}.{self._sum(text.encode()).hex()}"

    def token(self, cookie: bytes) -> str | None:
        """The id of the token whose owner has this cookie; None if it is none of ours, or is over."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        text, _, _ = cookie.rpartition(b".")
        ours = hmac.compare_digest(self._sum(text), bytes.fromhex(found[3].decode()))
        return found[1].decode() if ours and self._now() // 1000 < int(found[2]) else None

    def _sum(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")
