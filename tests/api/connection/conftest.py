"""One connection, byte by byte, through the fast lane and without it."""

import asyncio
import json
import re
from contextlib import asynccontextmanager

import pytest
from dibs.config import Settings
from dibs.main import create_app

HOST = b"Host: localhost\r\n"


def request(line, *headers, body=b""):
    lines = [HOST, *(header + b"\r\n" for header in headers)]
    if body:
        lines += [b"Content-Type: application/json\r\n", b"Content-Length: %d\r\n" % len(body)]
    return line + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n" + body


def chunked(line, *chunks, trailers=b"", headers=()):
    lines = b"".join([HOST, b"Transfer-Encoding: chunked\r\n", *(header + b"\r\n" for header in headers)])
    body = b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks])
    return line + b" HTTP/1.1\r\n" + lines + b"\r\n" + body + b"0\r\n" + trailers + b"\r\n"


GET, NEXT = request(b"GET /next"), request(b"POST /next")
HEALTH = request(b"GET /healthz")
CLOSE = request(b"GET /healthz", b"Connection: close")
LEASE = request(b"POST /queues/default/lease", body=b"{}")
PUSH = request(b"POST /queues/jobs/items", body=b'{"items":[{"value":1}]}')


class Door:
    """An application on a socket of its own. ``send`` gives the answers of one connection."""

    def __init__(self, house):
        self.house = house

    @property
    def spent(self):
        """How many items were handed out or pushed."""
        return self.house.cursor() + self.house.cursor("jobs")

    @property
    def unfinished(self):
        return self.house.wire.lane.budget

    @property
    def connections(self):
        return self.house.wire.server.server_state.connections

    @asynccontextmanager
    async def talk(self):
        """A connection: what reads, and what writes."""
        reader, writer = await asyncio.open_unix_connection(self.house.wire.path, limit=2**24)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def connection(self):
        """One of the connections, as the server has it."""
        await self.house.until(lambda: self.connections)
        return next(iter(self.connections))

    def send(self, *pieces, end=False, wait=0.002):
        """Send pieces, a write each; the answers until the server closes. ``end``: no more comes."""
        return self.house.run(self._send(pieces, end, wait))

    async def _send(self, pieces, end, wait):
        async with self.talk() as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(wait if len(pieces) > 1 else 0)
            if end:
                writer.write_eof()
            return answers(await reader.read())


def answers(data):
    """Status and body of each answer."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        found.append((int(head[9:12]), data[:size]))
        data = data[size:]
    return found


def statuses(found):
    return [status for status, _ in found]


def problem(answer):
    fields = json.loads(answer[1])
    return answer[0], fields["type"].rpartition(":")[2], fields["handed_out"]


@pytest.fixture(scope="module", params=["ordinary", "fast"])
def open_door(request, house_class, wire_module):
    """A function that gives a door with these limits; each is opened once."""
    opened = {}

    def open_door(**limits):
        key = tuple(limits.items())
        if key not in opened:
            queues = {"default": "count", "jobs": "", "few": "range(0, 3)"}
            settings = Settings(data=":memory:", queues=queues, limits=limits, allow_get="all")
            app = create_app(settings)
            house = house_class(app, "framework")
            house.__enter__()
            house.wire = wire_module.Wire(app, hot=request.param == "fast")
            house.run(house.wire.start())
            opened[key] = Door(house)
        return opened[key]

    yield open_door
    for door in opened.values():
        door.house.__exit__(None, None, None)


@pytest.fixture
def door(open_door):
    return open_door()
