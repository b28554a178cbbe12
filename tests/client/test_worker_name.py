"""The name of a worker is shown to people: what would act there is refused, before anything is sent."""

import socket

import pytest
from dibs.client import AsyncClient, Client


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("name", ["w\x1b]0;owned\x07", "w\x9b", "w\u202e", "w\n", "\ud800"])
def test_refused(client, name):
    with pytest.raises(ValueError, match=r"^worker 'w?[^'\x1b\x9b]+' has control characters"):
        client("http://localhost", worker=name)


def test_too_long_or_no_text():
    with pytest.raises(ValueError, match="worker is over 255 bytes"):
        Client("http://localhost", worker="ü" * 128)
    with pytest.raises(TypeError, match="worker must be a text, not a int"):
        Client("http://localhost", worker=7)


def test_the_name_of_a_strange_host_is_written_out(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "a\x1bb")
    with Client("http://localhost") as client:
        assert client.setup.worker_name.startswith("a\\x1bb:")
        monkeypatch.setattr(socket, "gethostname", lambda: "ü" * 300)
        assert 250 < len(client.setup.worker_name.encode()) <= 255
