"""A stream of items, one a line: read as it arrives, committed in chunks, in constant memory.

Nothing is read ahead of the commits: while a chunk is on its way to disk the transport is not asked for
more, so a producer that is faster than the disk waits. A chunk ends after 1,000 items or 1 MiB, and at the
line before one that is refused. Without an idempotency key it also ends when nothing arrives for a moment:
lines that trickle in don't wait for a thousand others.

**Idempotency.** Each chunk of a stream with a key is pushed under a key of its own, made of the stream's key
and the chunk's number. The same bytes are always cut into the same chunks, so a stream that is sent again
gets the filed answers of the chunks that are in, and goes on behind them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from starlette.requests import ClientDisconnect
from starlette.types import Message

from ..errors import LimitExceeded
from ..ledger.serve import Key
from ..queue import Queue
from ..queue.answers import PushAnswer
from . import bodies
from .admission import KEEP
from .items import Bundle
from .json_text import parse_line
from .operation import Call
from .problems import RequestRefused, over
from .traces import parent_of

CHUNK_ITEMS: Final = 1000
CHUNK_BYTES: Final = 1024 * 1024
LINES_A_STEP: Final = 1000
"""Lines after which others have their turn."""
LINGER: Final = 0.1
"""Seconds without a byte after which a chunk is committed that is not full, of a stream without a key."""
ESCAPED: Final = 4
"""A line may be so many times as long as its value's limit: escaped text is three times as long as plain."""
ENVELOPE: Final = 4096
RANGES_KEPT: Final = 1_000
"""Ranges of seqs that an answer has; the stream goes on beyond them."""


@dataclass(slots=True)
class Sums:
    """The part of a stream that is on disk. ``ranges`` have its new seqs, the first :data:`RANGES_KEPT`."""

    lines: int = 0
    bytes: int = 0
    accepted: int = 0
    duplicates: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, pushed: PushAnswer) -> None:
        """Count a chunk's items. Its new seqs follow each other: a push gets them from the cursor."""
        known = set(pushed.known)
        fresh = [seq for at, seq in enumerate(pushed.seqs) if at not in known] if known else pushed.seqs
        self.accepted += len(fresh)
        self.duplicates += len(known)
        if fresh and self.ranges and self.ranges[-1][1] + 1 == fresh[0]:
            self.ranges[-1] = (self.ranges[-1][0], fresh[-1])
        elif fresh and len(self.ranges) < RANGES_KEPT:
            self.ranges.append((fresh[0], fresh[-1]))


class StreamReader:
    """One request's stream. ``read`` goes to its end, or raises at the first line that is refused.

    ``sums`` tell what is in; ``ended`` whether the whole body has come. Our own server is told how many bytes
    of the body are kept, whenever more are asked for.
    """

    def __init__(self, call: Call) -> None:
        limits = call.context.limits
        self._receive = call.request.receive
        self._queue = call.queue
        self._item = call.context.reader.item
        self._key = call.key
        self._parent, self._caller = parent_of(call.request.scope), call.caller.keys
        self._line_limit = ESCAPED * limits.value_bytes + ENVELOPE
        self._patience = limits.body_patience
        self._keep: Callable[[int], None] | None = call.request.scope.get(KEEP)
        self._chunk_items = _chunk_items(call.queue)
        self._chunks = self._replays = 0
        self._tail = 0
        self._message: asyncio.Future[Any] | None = None
        self.ended = False
        self.sums = Sums()
        self._begin()

    def _begin(self) -> None:
        """Begin a chunk behind what is in."""
        self._bundle = Bundle()
        self._lines, self._bytes = self.sums.lines, self.sums.bytes

    @property
    def replayed(self) -> bool:
        """Whether every chunk had been pushed by the same stream before."""
        return 0 < self._chunks == self._replays

    @property
    def line(self) -> int:
        """The line that a refusal is about, counted from 1: the first that is not in."""
        return self.sums.lines + 1

    async def read(self) -> None:
        """Read all of it.

        Raises:
            RequestRefused, LimitExceeded: a line; everything before it is committed.
            Refused, LedgerError: the queue; everything before this chunk is committed.
            ClientDisconnect: the producer is gone; the chunks that were committed stay.
        """
        tail: bytes | None = b""
        try:
            while tail is not None:
                tail = await self._lines_of(tail)
        except (RequestRefused, LimitExceeded) as error:
            if self._ends_before(error):
                await self._commit()
            raise
        finally:
            if self._message is not None:
                self._message.cancel()

    def _ends_before(self, error: RequestRefused | LimitExceeded) -> bool:
        """Whether a refusal ends the chunk. With a key a pause does not: sent again, there may be none."""
        stopped = isinstance(error, RequestRefused) and error.name == "body-timeout"
        return self._key is None or not stopped

    # -- lines

    async def _lines_of(self, data: bytes) -> bytes | None:
        """Take the lines of ``data``; then what comes next, up to a line's end, or None at the end."""
        start = 0
        while end := data.find(b"\n", start) + 1:
            await self._take(data[start:end])
            start = end
        pieces = [data[start:]]
        self._tail = len(data) - start
        while (more := await self._next()) is not None:
            pieces.append(more)
            if b"\n" in more:
                return b"".join(pieces)
            self._tail += len(more)
            if self._tail > self._line_limit:
                self._refuse_long()
        if line := b"".join(pieces):  # without a last line break
            await self._take(line)
        await self._commit()
        return None

    async def _take(self, line: bytes) -> None:
        """Put one line into the chunk."""
        if len(line) > self._line_limit:
            self._refuse_long()
        if written := line.strip(b" \t\r\n"):
            self._bundle.add(self._item.read(parse_line(written)))
        self._lines += 1
        self._bytes += len(line)
        if self._bundle.count >= self._chunk_items or self._bytes - self.sums.bytes >= CHUNK_BYTES:
            await self._commit()
        elif self._lines % LINES_A_STEP == 0:
            await asyncio.sleep(0)  # blank lines fill no chunk, and nothing is waited for between them

    def _refuse_long(self) -> NoReturn:
        raise over("line", f"it is over {self._line_limit} bytes", self._line_limit)

    async def _commit(self) -> None:
        """Push the chunk, all or none of it."""
        try:
            if self._bundle.count:
                key = None if self._key is None else chunk_key(self._key, self._chunks)
                pushed = await self._queue.producer.push(
                    self._bundle.parcels(), key=key, parent=self._parent, caller=self._caller
                )
                self._chunks += 1
                self._replays += pushed.replayed
                self.sums.add(pushed)
            self.sums.lines, self.sums.bytes = self._lines, self._bytes
        finally:
            self._begin()  # where it was refused, the refusal is about its first line

    # -- the transport

    async def _next(self) -> bytes | None:
        """The next bytes of the body; None at its end. Without a key, what waits is committed in a pause."""
        if self.ended:
            return None
        if self._keep is not None:
            self._keep(self._bytes - self.sums.bytes + self._tail)
        if self._bundle.count and self._key is None:
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
        """Wait for more of the body, as long as a body may pause."""
        try:
            async with asyncio.timeout(self._patience):
                return await arriving
        except TimeoutError:
            raise bodies.too_slow(self._patience) from None


def chunk_key(key: Key, number: int) -> Key:
    """The idempotency key of a chunk: a digest, since the stream's key may be as long as a key can be."""
    digest = hashlib.blake2b(f"{key.text}\n{key.n}\n{number}".encode(), digest_size=16).hexdigest()
    return Key(digest, "", caller=key.caller)


def _chunk_items(queue: Queue) -> int:
    """A chunk goes in whole or not at all, so it is well below what may wait in the queue."""
    most = queue.line.row.settings.max_ready
    return CHUNK_ITEMS if most is None else min(CHUNK_ITEMS, max(1, most // 2))
