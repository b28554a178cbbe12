"""Ending a long poll from another thread."""

import socket
import threading

import pytest
from dibs.client.flow import Lost, Request
from dibs.client.threads import PollLine
from dibs.client.wire import Wire

POLL = Request("POST", "/queues/q/lease", b"{}", wait=20.0)


@pytest.fixture
def silent():
    """A server that accepts, reads, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def line_to(server):
    wire = Wire(f"http://127.0.0.1:{server.getsockname()[1]}", 30.0)
    return PollLine(wire)


def test_a_poll_that_waits_is_ended(silent):
    line, answers = line_to(silent), []
    thread = threading.Thread(target=lambda: answers.append(line.send(POLL)))
    thread.start()
    accepted, _ = silent.accept()
    with accepted:
        assert accepted.recv(10)  # it has been sent, and waits
        line.abort()
        thread.join(60)
    assert not thread.is_alive()
    assert isinstance(answers[0], Lost)
    assert (answers[0].aborted, answers[0].reached) == (True, True)
    line.close()


def test_an_aborted_line_sends_nothing(silent):
    line = line_to(silent)
    line.abort()
    answer = line.send(POLL)
    assert (answer.aborted, answer.reached) == (True, False)
    line.close()


def test_a_connection_that_comes_too_late_is_shut(silent):
    """Aborted between looking and connecting."""
    line = line_to(silent)
    ours, theirs = socket.socketpair()

    class Stream:
        def get_extra_info(self, name):
            return ours

    with ours, theirs:
        line.abort()
        line._learn("connection.connect_tcp.complete", {"return_value": Stream()})
        assert theirs.recv(1) == b""
        line.abort()  # once more is as good
    line.abort()
    line.close()
