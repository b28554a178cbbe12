"""The owner's end of the frames: each connection of a client at a front is a slot here, which calls."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ...errors import DibsError, LedgerMoved, NotOwner, Stopping
from .frames import ANSWER, CALL, DROP, END, LOSE, MUCH, OPEN, ORDINARY, FrameReader, Gathered, Malformed
from .framing import END as END_OF_HEAD
from .keyed import INSIDE, KeyedHeads
from .responses import Responses

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from ...access.caller import Caller
    from .lane import Lane


class Slot:
    """A connection of a client at a front; it is the transport of its responses."""

    def __init__(self, fronts: FrontConnection, number: int, peer: tuple[str, int] | None) -> None:
        lane = fronts.lane
        self._number = number
        self._peer = peer
        self._say = fronts.gathered.say
        self._lane = lane
        self._keyed = KeyedHeads(lane.heads, lane.limits)
        self.responses = Responses(lane, fronts.state, self, fronts.loop, _nothing, declined=self._declined)

    def call(self, data: bytes, *, doubted: bool) -> None:
        """Make the call of a request, if it is one that is known here and its caller may.

        ``doubted``: what is in memory may be of a term that is over.
        """
        lane, responses = self._lane, self.responses
        end = data.find(END_OF_HEAD)
        line = data[:end]
        call = self._keyed.read(line) if INSIDE in line else lane.heads.read(line)
        if call is not None and lane.callers.book.locked:
            call = responses.admit(call)
        end += len(END_OF_HEAD)
        if call is None or len(data) != end + call[0].length or doubted:
            self._say(self._number, ORDINARY)
            return
        responses.head, key, responses.signed = call
        responses.call(call[0], key, data[end:])

    def _declined(self, error: DibsError) -> bool:
        """Whether the front is to ask another owner; not where its client has waited long."""
        if not isinstance(error, NotOwner | Stopping | LedgerMoved) or not self.responses.may_begin_anew:
            return False
        self._say(self._number, ORDINARY)
        return True

    def lose(self, caller: Caller) -> None:
        """Close the client's connection, if this caller has asked and waits for the answer."""
        if self.responses.calling and self.responses.caller is caller:
            self._say(self._number, LOSE)

    # -- as its responses use a transport

    def write(self, data: bytes) -> None:
        """Send a response to the front."""
        self._say(self._number, ANSWER, data)

    def get_extra_info(self, name: str) -> Any:
        """The address of the client, which the front knows."""
        return self._peer if name == "peername" else None


class FrontConnection(asyncio.Protocol):
    """The connection of one front. It owns the slots of that; it has taken over from a connection of HTTP."""

    def __init__(
        self, lane: Lane, state: ServerState, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.lane = lane
        self.state = state
        self.loop = loop
        self.gathered = Gathered(transport, loop)
        self.transport = transport
        self._reader = FrameReader()
        self._slots: dict[int, Slot] = {}
        self._cut: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=MUCH)
        state.connections.add(self)  # type: ignore[arg-type]  # it has what the server calls
        lane.fronts.add(self)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Hear what the front says."""
        # What is known here is known of the next owner's calls, as soon as that is elsewhere.
        slots, doubted = self._slots, self.lane.doubts_now() or self.lane.context.elsewhere
        try:
            for number, kind, said in self._reader.feed(data):
                if kind == CALL:
                    slots[number].call(said, doubted=doubted)
                elif kind == OPEN:
                    self._slots[number] = slot = Slot(self, number, _address(said))
                    self.lane.connections.add(slot)
                elif kind == END:
                    self._slots[number].responses.wait_no_more()
                elif kind == DROP:
                    self._drop(self._slots.pop(number))
                else:
                    self.transport.abort()
        except (Malformed, KeyError, ValueError):
            self.transport.abort()

    def pause_writing(self) -> None:
        """The front does not read: it is not heard either, and cut off if that goes on."""
        self.transport.pause_reading()
        self._cut = self.loop.call_later(self.lane.limits.body_patience, self.transport.abort)

    def resume_writing(self) -> None:
        """The front reads again."""
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _drop(self, slot: Slot) -> None:
        self.lane.connections.discard(slot)
        slot.responses.lost()

    def connection_lost(self, exc: Exception | None) -> None:
        """The front has gone: what its clients asked is finished, and nobody is told."""
        if self._cut is not None:
            self._cut.cancel()
        self.state.connections.discard(self)  # as it was added
        self.lane.fronts.discard(self)
        for slot in self._slots.values():
            self._drop(slot)
        self._slots.clear()

    def leave(self) -> None:
        """Hear nothing more: this server is not the owner any more, and what is under way is answered."""
        self.loop.call_later(1.0, self.transport.close)

    def shutdown(self) -> None:
        """The server goes down: waiting calls are told, then the front is left."""
        self.leave()


def _address(said: bytes) -> tuple[str, int] | None:
    peer = json.loads(said)
    return None if peer is None else (str(peer[0]), int(peer[1]))


def _nothing() -> None:
    """The front sends the next call when it likes."""
