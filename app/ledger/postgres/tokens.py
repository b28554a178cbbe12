"""The tokens of the ledger, for a server that has none of its tables in memory."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from ...errors import LedgerUnavailable
from ..access import AccessToken
from ..ops import EngineFailed
from .ledger import Ledger
from .loading import rows
from .tables import TABLES

FRESH: Final = 5.0
"""Seconds for which tokens that were read are taken for those that there are."""
_CLOCK: Final = "SELECT clock FROM position ORDER BY n DESC LIMIT 1"


class Tokens:
    """Reads the tokens when they are asked for. Lives on the event loop.

    It owns those that were read last, which count for as long as the database can't be reached.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reading = asyncio.Lock()
        self._last: tuple[list[AccessToken], int] | None = None
        self._read_at = 0.0

    async def read(self) -> tuple[list[AccessToken], int]:
        """All tokens in the order in which they were made, and ledger time.

        Raises:
            LedgerUnavailable: They can't be read, and never were.
        """
        async with self._reading:
            if self._last is None or monotonic() - self._read_at > FRESH:
                try:
                    self._last = await asyncio.to_thread(read, self._ledger)
                except EngineFailed as error:
                    if self._last is None:
                        raise LedgerUnavailable(f"the tokens can't be read now: {error}") from error
                self._read_at = monotonic()
        return self._last


def read(ledger: Ledger) -> tuple[list[AccessToken], int]:
    """All tokens in the order in which they were made, and ledger time.

    Raises:
        EngineFailed: They can't be read.
    """
    import psycopg

    try:
        with ledger.connect() as session:
            found = [AccessToken(*row) for row in rows(session, TABLES["access_token"])]
            [(now,)] = session.execute(_CLOCK)
    except psycopg.Error as error:
        raise EngineFailed(str(error)) from error
    return sorted(found, key=lambda token: (token.created, token.id)), int(now)
