"""The application behind its real protocol, on a socket in this process: the way in that clients take."""

import asyncio
import contextlib
import re
import socket
import ssl
import tempfile
from pathlib import Path

import httpx
from dibs.api.lane.lane import Lane
from support.serving import server_of, vanish

TLS = ssl.create_default_context()
"""Not used, but made anew by every client that is not given one."""


def lane_of(app, *, hot=True):
    """What all connections share; ``hot``: with the fast lane."""
    return Lane(app, hot=hot)


class Wire:
    """A server on a Unix socket; it goes on while somebody runs the loop."""

    def __init__(self, app, *, hot=True):
        self._folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self._folder.name) / "socket")
        self.lane = lane_of(app, hot=hot)
        self.server = server_of(app, self.lane)

    async def start(self):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        await self.server.startup(sockets=[self._socket])
        await self.server.on_tick(0)

    async def stop(self):
        """At once: how a server goes down in order is for tests/cli."""
        vanish(self.server)
        await asyncio.sleep(0)
        self._folder.cleanup()

    def client(self, base_url):
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=self.path, verify=TLS), base_url=base_url, timeout=60
        )

    async def talk(self):
        """A connection for one request after the other."""
        reader, writer = await asyncio.open_unix_connection(self.path, limit=2**24)
        return Talk(reader, writer)

    async def raw(self, *pieces, close=None, wait=0.0):
        """Send bytes, a write each, until they are answered; what came back, and how many were sent.

        ``close``: an event after which the client goes away; else the server has to. ``wait``: seconds
        between the writes, so that they are read one by one.
        """
        reader, writer = await asyncio.open_unix_connection(self.path, limit=2**24)
        answer = asyncio.ensure_future(_read_all(reader))
        sent = 0
        try:
            for piece in pieces:
                if answer.done():
                    break
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(wait)
                sent += 1
            if close is not None:
                await close.wait()
                writer.close()
        except ConnectionError:
            pass  # it was answered early, and closed
        finally:
            found = await answer
            writer.transport.abort()
        return found, sent


class Talk:
    """Ask, and wait for the whole answer."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self.answer = b""

    async def __call__(self, request):
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        self.answer = head + (await self._reader.readexactly(int(length[1])) if length else b"")
        return self.answer

    def token(self):
        return re.search(rb'"token":"([^"]+)"', self.answer)[1]

    def close(self):
        self._writer.close()


async def _read_all(reader):
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            found += piece
    return found


def request_bytes(method, path, headers, chunks, query=b""):
    """The pieces of a request: its head, then its body, chunked where no length is announced."""
    target = path.encode() + (b"?" + query if query else b"")
    names = {name for name, _ in headers}
    chunked = b"transfer-encoding" in names or (bool(chunks) and b"content-length" not in names)
    lines = [*headers, (b"connection", b"close")]
    if chunked and b"transfer-encoding" not in names:
        lines.append((b"transfer-encoding", b"chunked"))
    head = method.encode() + b" " + target + b" HTTP/1.1\r\n"
    head += b"".join([name + b": " + value + b"\r\n" for name, value in lines]) + b"\r\n"
    if not chunked:
        return [head, *chunks]
    return [head, *[b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk], b"0\r\n\r\n"]


def messages(answer):
    """An answer as an ASGI application would have sent it; none where nothing came."""
    if not answer:
        return []
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = [tuple(line.split(b": ", 1)) for line in lines]
    return [
        {
            "type": "http.response.start",
            "status": int(re.match(rb"HTTP/1.1 (\d+)", status)[1]),
            "headers": headers,
        },
        {"type": "http.response.body", "body": body},
    ]
