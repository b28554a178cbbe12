"""Rows of the data folder: what a million takes leave behind, and how soon an empty one serves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from dibs.ledger.sqlite.files import LOG_BYTES
from figures import Figure, Run
from load import SEQUENCED, each, script, wrk
from servers import SERVER_CORE, dibs


def growth(run: Run) -> None:
    """Takes by counted sessions, as our client's are; the end of the server checkpoints and truncates."""
    file = run.folder / "dibs.db"
    with dibs(run.folder) as server:
        wrk(server, "/next", 1)
    before, log = file.stat().st_size, _Largest(file.with_name("dibs.db-wal"))
    with dibs(run.folder) as server:
        wrk(server, "/next", 1)
        memory, taken = server.memory(), 0
        while taken < run.options.takes:
            lua = script(SEQUENCED, SESSION='"ours"', START=taken)
            with log:
                taken += each(server, "/next?wait=20", 10, lua).requests
        run.add(memory=server.memory() - memory, takes=taken)
    log_left = log.file.stat().st_size if log.file.exists() else 0
    run.add(file=(file.stat().st_size + log_left - before) / 1e6, log=log.bytes / 1e6)


class _Largest:
    """The largest size that a file had while this was entered."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.bytes = 0

    def __enter__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.bytes = max(self.bytes, self.file.stat().st_size)


GROWTH = (
    Figure("a million sequenced takes: growth of the ledger's file", "file", target=1, most=True, unit=" MB"),
    Figure("… the largest log", "log", target=LOG_BYTES / 1e6, most=True, unit=" MB"),
    Figure("… takes", "takes", unit=""),
    Figure("… memory grown", "memory", unit=" MB"),
)


def start(run: Run) -> None:
    """From the start of the process to its first answer, in an empty folder; beside its imports alone."""
    dibs(run.folder / "first").stop()  # so that there is bytecode
    for _ in run.rounds():
        imports = [sys.executable, "-c", "import fastapi, uvicorn, apsw"]
        began = time.perf_counter()
        process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *imports])
        used = os.wait4(process.pid, 0)[2]
        run.add(imports=time.perf_counter() - began, imports_cpu=used.ru_utime + used.ru_stime)
        for name, method, path in (("next", "POST", "/next"), ("queues", "GET", "/queues")):
            began = time.perf_counter()
            with dibs(run.folder / name, ready=(method, path)) as server:
                run.add(**{name: time.perf_counter() - began, f"{name}_cpu": server.cpu()})
            shutil.rmtree(run.folder / name)


START = (
    Figure("first /next in an empty folder, against imports", "next", "imports", 1.4, True, " s"),
    Figure("… processor time", "next_cpu", "imports_cpu", most=True, unit=" s"),
    Figure("first GET /queues in an empty folder, against imports", "queues", "imports", 1.4, True, " s"),
    Figure("… processor time", "queues_cpu", "imports_cpu", most=True, unit=" s"),
)
