"""A stream of items, one a line: read as it arrives, committed in parts, in constant memory.

Nothing is read ahead of the commits: while a part is on its way to disk the transport is not asked for
more, so a producer that is faster than the disk waits. A part goes to disk when it is large enough, and
also when nothing arrives for a moment: lines that trickle in don't wait for a thousand others.

**Resuming.** Under an idempotency key the ledger knows how far the stream has come, in the same transaction
as the items. Sent again from its start, the part that is known is skipped, and its CRC-32 must be what it
was; with an offset the body begins there, and what is known of it is skipped unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, Protocol
from zlib import crc32

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from ..errors import KeyReused, LimitExceeded, QueueConflict
from ..ledger.work import Parcel, Progress, Streamed
from . import bodies
from .parcels import Bundle, ItemReader
from .problems import RequestRefused
from .read import over

PART_ITEMS: Final = 1000
PART_BYTES: Final = 1024 * 1024
LINES_A_STEP: Final = 1000
"""Lines after which others have their turn."""
LINGER: Final = 0.1
"""Seconds without a byte after which a part that is not full is committed all the same."""
ESCAPED: Final = 4
"""A line may be so many times as long as its value's limit: escaped text is three times as long as plain."""
ENVELOPE: Final = 4096


class Sink(Protocol):
    """Where the parts go; ``state`` is how far the stream has come."""

    @property
    def state(self) -> Streamed:
        """The sums so far; all zero at first."""

    async def push(self, parcels: tuple[Parcel, ...], progress: Progress) -> Streamed:
        """Commit one part; what it raises, nothing of the part was pushed."""


class StreamReader:
    """One request's stream. ``read`` goes to its end, or raises at the first line that is refused.

    ``ended`` says whether the whole body has come. ``patience`` (seconds) is how long nothing may come.
    ``keep`` is told how many bytes of the body are kept, whenever more are asked for.
    """

    def __init__(
        self,
        receive: Receive,
        sink: Sink,
        items: ItemReader,
        *,
        max_value_bytes: int,
        patience: float,
        keep: Callable[[int], None] = lambda kept: None,
        part_items: int = PART_ITEMS,
    ) -> None:
        self._receive = receive
        self._sink = sink
        self._items = items
        self._line_limit = ESCAPED * max_value_bytes + ENVELOPE
        self._patience = patience
        self._keep = keep
        self._tail = 0
        self._part_items = part_items
        self._message: asyncio.Future[Any] | None = None
        self._started = self.ended = False
        self._begin(sink.state)

    def _begin(self, state: Streamed) -> None:
        self._bytes, self._lines, self._crc = state.bytes, state.lines, state.crc
        self._known = state
        self._bundle = Bundle()

    @property
    def state(self) -> Streamed:
        """How far the stream is in."""
        return self._known

    @property
    def line(self) -> int:
        """The line that a refusal is about, counted from 1: the first that is not in."""
        return self._lines + 1

    async def read(self, offset: int | None) -> bool:
        """Read all of it; whether there was anything new.

        Raises:
            RequestRefused, LimitExceeded: a line; everything before it is committed.
            Refused, LedgerError: the queue; everything before this part is committed.
            ClientDisconnect: the producer is gone; what was committed stays.
        """
        try:
            tail = await self._skip(offset)
            while tail is not None:
                tail = await self._lines_of(tail)
        except (RequestRefused, LimitExceeded):  # a line; where it was the queue there is nothing to commit
            await self._commit()
            raise
        finally:
            if self._message is not None:
                self._message.cancel()
        return self._started

    # -- what is known already

    async def _skip(self, offset: int | None) -> bytes | None:
        """Read past what is known; what came behind it, or None where the body ended first."""
        if offset is not None and offset > self._bytes:
            raise QueueConflict(
                f"the stream goes on at byte {self._bytes}, not at offset {offset}", field="offset"
            )
        left, crc = self._bytes - (offset or 0), 0
        asked = False
        while left:
            chunk = await self._next()
            if chunk is None:
                if asked:
                    raise _another_stream(f"it ended {left} bytes before")
                return None
            asked = asked or bool(chunk)
            crc = crc32(chunk[:left], crc)
            rest = chunk[left:]
            left -= len(chunk) - len(rest)
        if asked:
            if not offset and crc != self._crc:
                raise _another_stream("it differs from")
            return rest
        return b""

    # -- lines

    async def _lines_of(self, data: bytes) -> bytes | None:
        """Take the lines of ``data``; then what comes next, up to a line's end, or None at the end."""
        start = 0
        while end := data.find(b"\n", start) + 1:
            if self._take(data[start:end]):
                await self._commit()
            elif self._lines % LINES_A_STEP == 0:
                await asyncio.sleep(0)  # blank lines fill no part, and nothing is waited for between them
            start = end
        pieces = [data[start:]]
        self._tail = len(data) - start
        while (chunk := await self._next()) is not None:
            pieces.append(chunk)
            if b"\n" in chunk:
                return b"".join(pieces)
            self._tail += len(chunk)
            if self._tail > self._line_limit:
                self._refuse_long()
        if line := b"".join(pieces):  # without a last line break
            self._take(line)
        await self._commit()
        return None

    def _take(self, line: bytes) -> bool:
        """One line into the part; whether that is full now."""
        if len(line) > self._line_limit:
            self._refuse_long()
        if written := line.strip(b" \t\r\n"):
            self._items.add(self._bundle, bodies.parse_line(written), "")
        self._started = True
        self._lines += 1
        self._bytes += len(line)
        self._crc = crc32(line, self._crc)
        return self._bundle.count >= self._part_items or self._bytes - self._known.bytes >= PART_BYTES

    def _refuse_long(self) -> NoReturn:
        over("line", f"it is over {self._line_limit} bytes", self._line_limit)

    async def _commit(self) -> None:
        """Everything up to here to disk, with how far that is."""
        if self._bytes == self._known.bytes:
            return
        parcels = self._bundle.parcels()
        progress = Progress(self._bytes, self._lines, self._crc)
        try:
            state = await self._sink.push(parcels, progress)
        except BaseException:
            self._begin(self._known)  # nothing of this part is in: the refusal is about its first line
            raise
        self._begin(state)

    # -- the transport

    async def _next(self) -> bytes | None:
        """The next bytes of the body; None at its end. What waits is committed when nothing comes."""
        if self.ended:
            return None
        self._keep(self._bytes - self._known.bytes + self._tail)
        if self._bundle.count:
            self._message = asyncio.ensure_future(self._receive())
            await asyncio.wait((self._message,), timeout=LINGER)
            if not self._message.done():
                await self._commit()
            message = await self._patiently(self._message)
            self._message = None
        else:
            message = await self._patiently(self._receive())
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.ended = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def _patiently(self, arriving: Awaitable[Message]) -> Message:
        """A producer whose line is dead would hold the key for good, and its next try would wait for it."""
        try:
            async with asyncio.timeout(self._patience):
                return await arriving
        except TimeoutError:
            raise bodies.too_slow(self._patience) from None


def _another_stream(why: str) -> KeyReused:
    return KeyReused(
        f"this Idempotency-Key was first sent with another stream: {why} what is known of that",
        field="Idempotency-Key",
    )
