"""Connections are kept: a request does not pay for a new one."""

import asyncio
import socket
import threading

import pytest
from dibs.cli.server import KEEP_ALIVE
from dibs.client import AsyncClient, Client
from dibs.client.wire import LIMITS

BODY = b'{"queue":"ids","state":"open","items":[{"seq":1,"value":1}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


class Counting:
    """Answers every request alike, and counts connections."""

    def __init__(self, server):
        self.server = server
        self.connections = 0
        self.requests = 0
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                accepted, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.answer, args=(accepted,), daemon=True).start()

    def answer(self, accepted):
        with accepted:
            while accepted.recv(65_536):
                self.requests += 1
                accepted.sendall(ANSWER)


@pytest.fixture
def counting():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Counting(server)
        server.shutdown(socket.SHUT_RDWR)


def test_one_connection_for_one_request_after_the_other(counting):
    with Client(counting.url) as client:
        for _ in range(20):
            client.queue("ids").take(1)
            client.queue("others").take(1)
    assert (counting.connections, counting.requests) == (1, 40)


def test_asyncio_too(counting):
    async def main():
        async with AsyncClient(counting.url) as client:
            for _ in range(20):
                await client.queue("ids").take(1)

    asyncio.run(main())
    assert (counting.connections, counting.requests) == (1, 20)


def test_the_client_lets_go_of_a_connection_before_the_server_does():
    """Else a request now and then meets one that is just being closed. But it lasts for a slow job."""
    assert 30 < LIMITS.keepalive_expiry <= KEEP_ALIVE - 10


def test_long_polls_do_not_keep_requests_from_their_connections():
    assert LIMITS.max_connections is None
