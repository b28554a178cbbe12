"""Idempotency keys in flight: a second request with a key waits for the first and never draws beside it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from ..errors import KeyReused, OutcomeUnknown
from ..ledger.pending import Pending

DIGEST: Final = re.compile("[0-9a-f]{32}")


class Held:
    """A key that is held for one request."""

    def __init__(self) -> None:
        self.pending: Pending[Any] | None = None

    def track(self, pending: Pending[Any]) -> None:
        """The key stays held until ``pending`` is settled, even when its caller has gone before."""
        self.pending = pending


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

    @asynccontextmanager
    async def hold(self, key: str, request: str, patience: float = 30.0) -> AsyncIterator[Held]:
        """Wait until no other request with this key is in flight, at most ``patience`` seconds; then hold it.

        Raises:
            KeyReused: the request in flight is another one.
            OutcomeUnknown: the request in flight is still not settled.
        """
        while (other := self._requests.get(key)) is not None:
            check_same(other, request)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._followers.setdefault(key, []).append(turn)
            try:
                async with asyncio.timeout(patience):
                    await turn
            except TimeoutError:
                raise OutcomeUnknown(
                    "the first request with this Idempotency-Key is not settled yet"
                ) from None
        self._requests[key] = request
        held = Held()
        try:
            yield held
        finally:
            if held.pending is None:
                self.end(key)
            else:
                held.pending.when_done(partial(self.end, key), asyncio.get_running_loop())

    def begin(self, key: str, request: str) -> bool:
        """Hold a key until :meth:`end`; False where another request with it is in flight."""
        if key in self._requests:
            return False
        self._requests[key] = request
        return True

    def end(self, key: str) -> None:
        """Let go of a key whose op is settled or never comes: waiting requests look into the ledger next."""
        del self._requests[key]
        for turn in self._followers.pop(key, []):
            if not turn.done():
                turn.set_result(None)


def check_same(first: str, second: str) -> None:
    """Raise unless both requests ask for the same."""
    if first != second:
        one, other = _shown(first), _shown(second)
        raise KeyReused(
            f"this Idempotency-Key was first sent with another request ({one}, not {other})",
            field="Idempotency-Key",
        )


def _shown(request: str) -> str:
    """The text of a request for a message; a digest of a long one is left out."""
    verb, _, digest = request.rpartition(" ")
    return f"another {verb}" if DIGEST.fullmatch(digest) else request
