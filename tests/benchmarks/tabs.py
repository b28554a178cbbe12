"""The row of the page: what it costs the server while nobody looks, and while ten tabs do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import httpx
from figures import Figure, Run
from load import wrk
from servers import Server, dibs

QUEUES, DEAD, BATCH = 10_000, 300_000, 1_000
WINDOW = 10  # seconds
TABS = [
    *["view=overview"] * 7,
    "view=queue&queue=dead",
    "view=queue&queue=default",
    "view=proof&queue=default",
]


def page(run: Run) -> None:
    """Many queues and dead letters; the processor time of ten quiet seconds, and takes beside the tabs."""
    with dibs(run.folder, "default=count()") as server:
        _fill(server)
        for _ in run.rounds():
            time.sleep(WINDOW / 5)
            run.add(nobody=_share(server))
            _takes(run, server, "alone")
            with _watched(server):
                run.add(tabs=_share(server))
                _takes(run, server, "beside")


def _share(server: Server) -> float:
    used = server.cpu()
    time.sleep(WINDOW)
    return 100 * (server.cpu() - used) / WINDOW


def _takes(run: Run, server: Server, name: str) -> None:
    load = wrk(server, "/next", run.seconds)
    run.add(**{f"{name}_p99": load.p99, f"{name}_rate": load.rate})


def _fill(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for number in range(QUEUES):
            client.put(f"/queues/q{number}", json={"source": "count"}).raise_for_status()
        client.put("/queues/dead", json={"settings": {"max_attempts": 1}}).raise_for_status()
        for _ in range(DEAD // BATCH):
            items = [{"value": number} for number in range(BATCH)]
            client.post("/queues/dead/items", json={"items": items}).raise_for_status()
            token = client.post("/queues/dead/lease", json={"max": BATCH}).raise_for_status().json()["token"]
            nack = {"nacks": [{"token": token, "error": "it failed"}]}
            client.post("/queues/dead/settle", json=nack).raise_for_status()


@contextlib.contextmanager
def _watched(server: Server) -> Iterator[None]:
    """Ten tabs that read what they are sent; RuntimeError if one was sent nothing."""
    ended, seen = threading.Event(), [0] * len(TABS)

    def watch(number: int) -> None:
        with (
            httpx.Client(base_url=server.url, timeout=60) as client,
            client.stream("GET", f"/events?{TABS[number]}") as answer,
        ):
            for part in answer.raise_for_status().iter_bytes():
                seen[number] += len(part)
                if ended.is_set():
                    return

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(len(TABS))]
    for thread in threads:
        thread.start()
    time.sleep(2)
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    if not all(seen):
        raise RuntimeError(f"bytes that the tabs were sent: {seen}")


PAGE = (
    Figure("the page with 10,000 queues, nobody looks: of a core", "nobody", target=5, most=True, unit=" %"),
    Figure("… ten tabs", "tabs", target=5, most=True, unit=" %"),
    Figure("… p99 of takes beside them · 64", "beside_p99", "alone_p99", 1.2, True, " ms"),
    Figure("… rate of takes beside them", "beside_rate", "alone_rate"),
)
