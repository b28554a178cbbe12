"""The tokens of leases."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final

SECRET: Final = 20
"""Characters of a token that nobody can guess: 120 bits."""
TOKEN_BYTES: Final = 255
"""The most bytes of a token that a request may show: more than any that is given."""
BATCH: Final = 256
"""Tokens whose secrets are asked of the system at once: a call for each costs more than all else about it."""


class Tokens:
    """Gives tokens; each is new, and a secret. ``now`` is ledger time.

    It owns secrets that nobody has been given: any thread may take one, since that is one step.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._secrets: list[str] = []

    def new(self) -> str:
        """A token. It begins with the time, so that tokens of one time lie side by side in the ledger."""
        while True:
            try:
                return f"{self._now() // 1000:x}-{self._secrets.pop()}"  # atomic: no two get the same one
            except IndexError:
                text = urlsafe_b64encode(os.urandom(BATCH * SECRET * 6 // 8)).decode()
                self._secrets.extend([text[at : at + SECRET] for at in range(0, len(text), SECRET)])
