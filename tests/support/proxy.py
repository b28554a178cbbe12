"""A proxy before PostgreSQL that loses an owner's transaction on its way, or the answer to it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from select import select
from typing import Literal

Loses = Literal["transaction", "answer", "nothing"]
READY = b"Z\x00\x00\x00\x05I"
"""How an answer ends after a transaction that has ended."""


class Proxy:
    """Listens on loopback, and passes all on to ``port`` there.

    ``losing``: of the next transactions of owners' sessions, one after the other, what is lost; the session
    is cut off with it. A transaction is known by its burst: it uses several prepared statements at once.
    """

    def __init__(self, port: int) -> None:
        self._port_behind = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.losing: list[Loses] = []
        self._passing = threading.Event()
        self._passing.set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hold(self) -> None:
        """Let nothing through, in either direction; the connections stay."""
        self._passing.clear()

    def release(self) -> None:
        self._passing.set()

    def close(self) -> None:
        """End all: whoever is connected has to have gone."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port_behind)) as server, suppress(OSError):
            owner, loses = False, ""
            while True:
                readable, _, _ = select([client, server], [], [])
                self._passing.wait()
                if client in readable:
                    data = client.recv(1 << 16)
                    owner = owner or b"dibs owner" in data
                    if owner and data.count(b"\x00dibs_") > 2 and self.losing:
                        loses = self.losing.pop(0).removeprefix("nothing")
                    if not data or loses == "transaction":
                        return
                    server.sendall(data)
                if server in readable:
                    data = server.recv(1 << 16)
                    if not data or (loses and data.endswith(READY)):
                        return
                    if not loses:
                        client.sendall(data)
