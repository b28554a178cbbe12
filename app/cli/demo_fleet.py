"""The last scene: a server for a fleet, killed in front of the viewer."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..client import Client
from ..client.errors import ClientError
from ..proof.errors import HarnessFault
from ..proof.server import ServerProcess
from .demo_screen import Stage

CLIENTS: Final = 8
TOTAL: Final = 4000
KILLS: Final = 2
GIVE_UP_SECONDS: Final = 30.0
START_SECONDS: Final = 20.0

_CODE: Final = """\
POST /next                     # 8 clients, one server, one disk
Idempotency-Key: 5f0c2c9e-…    # a lost answer is asked for again
"""


class Taker(threading.Thread):
    """Takes numbers until there are enough. A request without an answer is sent again with its key."""

    def __init__(self, url: str, enough: threading.Event) -> None:
        super().__init__(daemon=True)
        self.got: list[int] = []
        self.again = 0
        self._url = url
        self._enough = enough

    def run(self) -> None:
        """Take numbers until told that it is enough, and leave no request open."""
        with (
            Client(self._url, patience=GIVE_UP_SECONDS, on_wait=self._count) as client,
            suppress(ClientError),
        ):
            queue = client.queue("default")
            while not self._enough.is_set():
                if (item := queue.next()) is not None:
                    self.got.append(item.value)

    def _count(self, pause: float, why: str) -> None:
        self.again += 1


def fleet(stage: Stage) -> bool:
    """Kill the server twice under load; then count."""
    stage.scene("A fleet", _CODE, "text")
    with tempfile.TemporaryDirectory(prefix="dibs-demo-") as folder, ServerProcess(Path(folder)) as server:
        try:
            _start(server)
            clients, kills = _run(stage, server)
        except HarnessFault as fault:
            return stage.finding(False, str(fault))
    return _judge(stage, [value for client in clients for value in client.got], clients, kills)


def _start(server: ServerProcess) -> None:
    server.start()
    server.wait_ready(START_SECONDS)


def _run(stage: Stage, server: ServerProcess) -> tuple[list[Taker], int]:
    enough = threading.Event()
    clients = [Taker(server.url, enough) for _ in range(CLIENTS)]
    marks = [TOTAL * (kill + 1) // (KILLS + 1) for kill in range(KILLS)]
    until = time.monotonic() + GIVE_UP_SECONDS
    kills = 0
    with Live(_board(clients, "", 0), console=stage.console, refresh_per_second=12, transient=True) as live:
        for client in clients:
            client.start()
        try:
            # The kills are part of the scene: on a quick machine all numbers may be there before they are.
            while ((done := _count(clients)) < TOTAL or kills < KILLS) and time.monotonic() < until:
                if kills < KILLS and done >= marks[kills]:
                    kills += 1
                    server.kill()
                    live.update(_board(clients, "kill -9", kills))
                    stage.pause(0.8)
                    _start(server)
                live.update(_board(clients, f"serving on {server.url}", kills))
                time.sleep(0.05)
        finally:
            enough.set()
            for client in clients:
                client.join(GIVE_UP_SECONDS)
    return clients, kills


def _count(clients: list[Taker]) -> int:
    return sum(len(client.got) for client in clients)


def _board(clients: list[Taker], server: str, kills: int) -> Table:
    """A table of how many numbers each client has."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", justify="right")
    grid.add_column(width=50)
    grid.add_column(justify="right")
    most = max(1, *(len(client.got) for client in clients))
    for number, client in enumerate(clients, 1):
        filled = round(48 * len(client.got) / most)
        last = f"{client.got[-1]:,}" if client.got else ""
        grid.add_row(f"    client {number}", Text("━" * filled, style="cyan"), last)
    down = server == "kill -9"
    grid.add_row("server", Text(server, style="bold red" if down else "green"), f"killed {kills} of {KILLS}")
    return grid


def _judge(stage: Stage, values: list[int], clients: list[Taker], kills: int) -> bool:
    counted = Counter(values)
    twice = sum(1 for times in counted.values() if times > 1)
    missing = max(values, default=0) - len(counted)
    again = sum(client.again for client in clients)
    good = bool(values) and not twice and not missing and kills == KILLS
    stage.note(f"{CLIENTS} clients, {kills} times kill -9, {again:,} times a request sent again with its key")
    return stage.finding(
        good,
        (f"{len(values):,}", "bold"),
        " numbers: ",
        (f"{twice} twice", "bold green" if not twice else "bold red"),
        ", ",
        (f"{missing} missing", "bold green" if not missing else "bold red"),
        f", 1 to {max(values, default=0):,}",
    )
