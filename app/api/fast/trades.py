"""Settlings of the usual form: all of one lease is acked, and the next one taken.

The bodies of one worker differ in nothing but the token. So what such a body asks for is read once, by the
reader of all others, and known from then on by its bytes around the token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from ...errors import DibsError
from ...ledger.work import Ack, Settled
from ...queue import Queue
from ...queue.answers import LeaseAsk, SettleAnswer
from ...queue.exchange import Leasing, Ranges
from ..handout import lease_json
from ..operations.consume import lease_reply, settle_reply
from ..outcomes import as_settled
from ..problems import reply_to
from ..reply import Reply
from ..requests import Reader, Settling

if TYPE_CHECKING:
    from .answers import Answers

MOST_SHAPES: Final = 1_024
"""Bodies without their tokens that are remembered; then it begins anew."""
SHAPE_BYTES: Final = 1_024
"""A larger body is not of the usual form."""

_TOKEN: Final = re.compile(rb'"token": ?"([0-9A-Za-z_-]{1,255})"')
_PLAIN: Final = re.compile(rb"[0-9A-Za-z_-]{1,255}")
_NONE: Final = b"no body has this"
_ANY: Final = "any"
"""Stands for the token where a shape is read."""


class Shape(NamedTuple):
    """What bodies of one shape ask for; not ``usual``: they are to be read one by one."""

    usual: bool
    lease: LeaseAsk | None = None


_UNUSUAL: Final = Shape(False)


class Shapes:
    """The bodies of settlings, by their bytes around the token."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[bytes, Shape] = {}
        self._last = _NONE, _NONE, _UNUSUAL

    def read(self, body: bytes) -> tuple[str | None, LeaseAsk | None] | None:
        """The token and the lease that is asked for; None where the body is not of the usual form."""
        before, after, shape = self._last  # most bodies have the shape of the one before
        if body.startswith(before) and body.endswith(after):
            token = body[len(before) : len(body) - len(after)]
            if shape.usual and _PLAIN.fullmatch(token):
                return token.decode(), shape.lease
        found = _TOKEN.search(body)
        if found is None or len(body) > SHAPE_BYTES:
            return None
        begin, end = found.span(1)
        around = body[:begin] + body[end:]
        if around not in self._known:
            if len(self._known) >= MOST_SHAPES:
                self._known.clear()
            self._known[around] = self._read(body[:begin] + _ANY.encode() + body[end:])
        shape = self._known[around]
        if not shape.usual:
            return None
        self._last = body[:begin], body[end:], shape
        return found[1].decode(), shape.lease

    def _read(self, body: bytes) -> Shape:
        try:
            asked = self._reader.settle.parse(body)
        except DibsError:
            return _UNUSUAL  # it is refused when it is read with its own token
        return Shape(True, asked.lease) if asked.entries == (Ack(_ANY),) else _UNUSUAL


class Settler:
    """One settling of the usual form; see ``dibs.queue.exchange``."""

    __slots__ = ("_connection", "_queue", "ask", "token")

    def __init__(self, connection: Answers, queue: Queue, token: str | None, ask: LeaseAsk | None) -> None:
        self._connection = connection
        self._queue = queue
        self.token = token
        self.ask = ask

    def traded(self, acked: Ranges, lease: Leasing | None, state: str, now: int) -> None:
        """It is on disk: say so."""
        queue = self._queue
        if len(acked) == 1:
            [(first, last)] = acked
            told = f'{{"seqs":[{first},{last}],"outcome":"acked"}}'
        elif acked:
            told = ",".join([f'{{"seqs":[{first},{last}],"outcome":"acked"}}' for first, last in acked])
        else:
            told = '{"seqs":null,"outcome":"stale"}'
        begin = (
            f'{{"queue":"{queue.name}","state":"{state}","acks":[[{told}]],'
            '"nacks":[],"extends":[],"releases":[]'
        )
        if lease is None:
            body = begin + "}"
        elif self._connection.gone:
            queue.release_lease(lease.token)
            return
        else:
            body = f'{begin},"lease":{_lease_text(queue.name, lease, now)}}}'
        self._connection.answer(body.encode())

    def unleased(self, acked: Ranges, state: str, now: int) -> None:
        """Wait for items, or hear why there are none."""
        assert self.ask is not None  # noqa: S101  # nobody who asks for none is told so
        self._connection.run(self._lease_after(acked, state, now, self.ask), wanted=self.ask.wait > 0)

    async def _lease_after(self, acked: Ranges, state: str, now: int, ask: LeaseAsk) -> Reply:
        entry = tuple([Settled("acked", first, last) for first, last in acked]) or (Settled("stale"),)
        answered = SettleAnswer(self._queue.name, state, (entry,), now)
        return as_settled(await self._queue.lease_after(answered, ask), (Ack(""),), lease=True)

    def refused(self, error: DibsError) -> None:
        """Say why."""
        self._connection.reply(reply_to(error))

    def alone(self) -> None:
        """Ask as all others do."""
        assert self.token is not None  # noqa: S101  # a settling of the usual form has one
        asked = Settling((Ack(self.token),), self.ask)
        self._connection.run(settle_reply(self._queue, asked, None), wanted=asked.waits)


class Leaser:
    """One lease, with nothing settled."""

    __slots__ = ("_connection", "_queue", "ask", "token")

    def __init__(self, connection: Answers, queue: Queue, ask: LeaseAsk) -> None:
        self._connection = connection
        self._queue = queue
        self.token: str | None = None
        self.ask: LeaseAsk | None = ask

    def traded(self, acked: Ranges, lease: Leasing | None, state: str, now: int) -> None:
        """It is on disk: say so."""
        assert lease is not None  # noqa: S101  # it was asked for
        if self._connection.gone:
            self._queue.release_lease(lease.token)
            return
        self._connection.answer(_lease_text(self._queue.name, lease, now).encode())

    def unleased(self, acked: Ranges, state: str, now: int) -> None:
        """Wait for items, or hear why there are none."""
        self.alone()

    def refused(self, error: DibsError) -> None:
        """Say why."""
        self._connection.reply(reply_to(error))

    def alone(self) -> None:
        """Ask as all others do."""
        assert self.ask is not None  # noqa: S101  # given at the beginning
        self._connection.run(lease_reply(self._queue, self.ask, None), wanted=self.ask.wait > 0)


def _lease_text(queue: str, lease: Leasing, now: int) -> str:
    seconds = max(lease.due - now, 0) / 1000
    return lease_json(queue, lease.state, lease.token, lease.due, seconds, lease.spans, lease.values)
