"""The last scene: a server for a fleet, killed in front of the viewer."""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..proof.errors import HarnessFault
from ..proof.server import ServerProcess
from .demo_screen import Stage

CLIENTS: Final = 8
TOTAL: Final = 4000
KILLS: Final = 2
GIVE_UP_SECONDS: Final = 30.0
START_SECONDS: Final = 20.0

_CODE: Final = """\
POST /next                     # 8 clients, one server process on its own disk
Idempotency-Key: 5f0c2c9e-…    # an answer that was lost is asked for again
"""


class Client(threading.Thread):
    """Takes numbers until there are enough; a request without an answer is sent again with its key."""

    def __init__(self, url: str, enough: threading.Event) -> None:
        super().__init__(daemon=True)
        self.got: list[int] = []
        self.again = 0
        self._url = url
        self._enough = enough

    def run(self) -> None:
        """Take numbers until told that it is enough, and leave no request open."""
        with httpx.Client(base_url=self._url, timeout=5, trust_env=False) as client:
            while not self._enough.is_set():
                self._take(client, {"Idempotency-Key": str(uuid.uuid4())})

    def _take(self, client: httpx.Client, headers: dict[str, str]) -> None:
        until = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < until:
            try:
                response = client.post("/next", headers=headers)
                response.raise_for_status()
            except httpx.HTTPError:
                self.again += 1
                time.sleep(0.05)
            else:
                self.got.append(response.json()["value"])
                return


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


def _run(stage: Stage, server: ServerProcess) -> tuple[list[Client], int]:
    enough = threading.Event()
    clients = [Client(server.url, enough) for _ in range(CLIENTS)]
    marks = [TOTAL * (kill + 1) // (KILLS + 1) for kill in range(KILLS)]
    until = time.monotonic() + GIVE_UP_SECONDS
    kills = 0
    with Live(_board(clients, "", 0), console=stage.console, refresh_per_second=12, transient=True) as live:
        for client in clients:
            client.start()
        try:
            while (done := _count(clients)) < TOTAL and time.monotonic() < until:
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


def _count(clients: list[Client]) -> int:
    return sum(len(client.got) for client in clients)


def _board(clients: list[Client], server: str, kills: int) -> Table:
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


def _judge(stage: Stage, values: list[int], clients: list[Client], kills: int) -> bool:
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
