"""The limit on headers counts headers: a body, however it is cut into reads, is none of them."""

import pytest
from dibs.api.protocol import HEAD_LIMIT, Protocol


class Transport:
    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += data

    def is_closing(self):
        return bool(self.written)

    def close(self):
        return None


@pytest.fixture
def protocol(monkeypatch):
    """The counting of ``Protocol`` alone: what uvicorn would parse is told by the test."""
    protocol = Protocol.__new__(Protocol)
    protocol._in_head, protocol._heads, protocol._head_bytes = True, 0, 0
    protocol.transport = Transport()
    events = []
    parent = Protocol.__mro__[1]
    monkeypatch.setattr(parent, "data_received", lambda self, data: [event() for event in events])
    monkeypatch.setattr(parent, "on_headers_complete", lambda self: None)
    monkeypatch.setattr(parent, "on_message_complete", lambda self: None)

    def read(size, *happens):
        events[:] = [getattr(protocol, name) for name in happens]
        protocol.data_received(b"x" * size)
        return protocol.transport.written

    return read


def test_the_last_read_of_a_body_is_no_head(protocol):
    assert not protocol(200, "on_headers_complete")
    assert not protocol(4 * HEAD_LIMIT)
    assert not protocol(4 * HEAD_LIMIT, "on_message_complete")
    assert not protocol(200, "on_headers_complete", "on_message_complete")


def test_a_head_that_does_not_end_is_refused(protocol):
    assert not protocol(HEAD_LIMIT)
    assert protocol(1).startswith(b"HTTP/1.1 431 ")


def test_requests_in_one_read_are_no_long_head(protocol):
    both = ("on_headers_complete", "on_message_complete")
    for _ in range(10):
        assert not protocol(HEAD_LIMIT, *both, *both)
