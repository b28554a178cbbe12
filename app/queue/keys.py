"""Idempotency keys in flight: a second request with a key waits for the first and never draws beside it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from app.errors import KeyReused
from app.ledger.pending import Pending


class KeysInFlight:
    """The keys of one queue whose requests are not settled. Lives on the event loop.

    A key is let go when its op is settled, not when its caller has gone: until then the ledger doesn't
    know it, and a retry would draw again.
    """

    def __init__(self) -> None:
        self._requests: dict[str, str] = {}
        self._followers: dict[str, list[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._requests)

    async def enter(self, key: str, request: str) -> None:
        """Wait until no other request with this key is in flight, then hold it.

        Raises:
            KeyReused: the one in flight asks for something else.
        """
        while (other := self._requests.get(key)) is not None:
            check_same(other, request)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._followers.setdefault(key, []).append(turn)
            await turn
        self._requests[key] = request

    def leave(self, key: str) -> None:
        """Let the key go: whoever waits looks into the ledger next."""
        del self._requests[key]
        for turn in self._followers.pop(key, []):
            if not turn.done():
                turn.set_result(None)

    def leave_when_settled(self, key: str, pending: Pending[Any]) -> None:
        """Let the key go once the op's outcome stands."""
        pending.when_done(partial(self.leave, key), asyncio.get_running_loop())


def check_same(first: str, second: str) -> None:
    """Raise unless both requests ask for the same."""
    if first != second:
        raise KeyReused(
            f"this Idempotency-Key was first sent with another request ({first}, not {second})",
            field="Idempotency-Key",
        )
