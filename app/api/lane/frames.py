"""Frames: hot calls of many clients on one connection, from a front to the owner, and their answers back.

A frame is its length, the number of a client's connection at the front, a kind, and bytes. A call is the
request as the client sent it, an answer the response as the owner would have sent it: so there is one reader
and one encoder of both, and a front need not know what they mean. The connection begins as an HTTP request
that asks for an upgrade, and proves that its sender can read the database.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

PATH: Final = b"/internal/v1"
PROTOCOL: Final = b"dibs-frames"
COPY: Final = b"dibs-copy"
"""The protocol by which an owner feeds the warm copy of its memory: see ``copies.py``."""
SWITCHED: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: dibs-frames\r\n\r\n"

OPEN, CALL, END, DROP, ANSWER, ORDINARY, LOSE = range(7)
"""Kinds. From the front: a connection of a client begins (with its address), it calls, it sends nothing more,
it is gone. From the owner: the answer; this is to be asked the ordinary way; close it, its caller is not let
in any more."""

HEAD: Final = Struct("!IIB")
_REST: Final = HEAD.size - 4
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a frame; none of ours comes near."""
MUCH: Final = 4 * 1024 * 1024
"""Bytes that wait to be sent to a server which does not read, from which on it is sent nothing more."""
_LABELS: Final = {PROTOCOL: b"dibs frames 1", COPY: b"dibs copy 1"}


class Malformed(Exception):
    """What came is no frame."""


class Hello(NamedTuple):
    """Who asks for the upgrade to a protocol. ``exposed``: other machines reach that front."""

    term: int
    server: str
    exposed: bool
    protocol: bytes = PROTOCOL

    def request(self, secret: bytes, host: str) -> bytes:
        """The request that says so."""
        return (
            b"GET %b HTTP/1.1\r\nhost: %b\r\nconnection: upgrade\r\nupgrade: %b\r\ndibs-hello: %b %b\r\n\r\n"
        ) % (PATH, host.encode("ascii"), self.protocol, self._text(), self._proof(secret))

    def _text(self) -> bytes:
        return f"{self.term} {self.server} {int(self.exposed)}".encode("ascii")

    def _proof(self, secret: bytes) -> bytes:
        said = _LABELS[self.protocol] + b"\0" + self._text()
        return hmac.new(secret, said, "sha256").hexdigest().encode("ascii")

    @classmethod
    def read(cls, value: bytes, secret: bytes, protocol: bytes = PROTOCOL) -> Hello | None:
        """What a header says; None where its sender can't read the database, or means another protocol."""
        try:
            term, server, exposed, proof = value.decode("ascii").split(" ")
            hello = cls(int(term), server, exposed == "1", protocol)
        except ValueError:
            return None
        return hello if hmac.compare_digest(hello._proof(secret), proof.encode("ascii")) else None


class FrameReader:
    """Takes frames out of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The frames that are whole now: the slot, the kind, the bytes.

        Raises:
            Malformed: what came is no frame.
        """
        data, at = self._left + data if self._left else data, 0
        end = len(data)
        while end - at >= HEAD.size:
            size, slot, kind = HEAD.unpack_from(data, at)
            if not _REST <= size <= LARGEST:
                raise Malformed(f"a frame of {size} bytes")
            after = at + 4 + size
            if after > end:
                break
            yield slot, kind, data[at + HEAD.size : after]
            at = after
        self._left = data[at:]


class Gathered:
    """Frames that are written at once: all that are said in one turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._said: list[bytes] = []

    def say(self, slot: int, kind: int, data: bytes = b"") -> None:
        """Write a frame, soon."""
        if not self._said:
            self._call_soon(self._write)
        self._said.append(HEAD.pack(len(data) + _REST, slot, kind))
        self._said.append(data)

    def _write(self) -> None:
        said, self._said = self._said, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(said))
