"""The row of our own client: values and jobs by its iterators, beside those of 0.3 with its own server.

As a program it is a client: ``python users.py PACKAGE URL values|jobs THREADS SECONDS`` prints how many it
had.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Figure, Run
from servers import LOAD_CORE, dibs

KINDS = {"values": 64, "jobs": 8}  # and their threads


def clients(run: Run) -> None:
    """Ours and, where ``--old`` names its checkout, 0.3."""
    packages: dict[str, Path | None] = {"dibs": None}
    if run.options.old:
        packages["app"] = run.options.old.resolve()
    for number in run.rounds():
        for package, tree in packages.items():
            for kind in KINDS:
                data = run.folder / f"{package}{number}"
                _measure(run, package, kind, data, ("env", "-C", str(tree)) if tree else ())
                shutil.rmtree(data)


def _measure(run: Run, package: str, kind: str, data: Path, before: tuple[str, ...]) -> None:
    with dibs(data, "default=count()", before=before, module=package) as server:
        commits, used = server.get()["ledger"]["commits"], server.cpu()
        command = [*before, sys.executable, __file__, package, server.url, kind, str(KINDS[kind])]
        command = ["taskset", "-c", LOAD_CORE, *command, str(run.seconds)]
        client = subprocess.run(command, capture_output=True, text=True, timeout=run.seconds + 60, check=True)
        used, commits = server.cpu() - used, server.get()["ledger"]["commits"] - commits
    done = int(client.stdout)
    run.add(**{f"{package}_{kind}": used / done * 1e6, f"{package}_{kind}_asks": done / commits})


CLIENTS = (
    Figure("time of a value, 64 threads, for n in queue", "dibs_values", unit=" µs"),
    Figure("… against 0.3", "dibs_values", "app_values", 0.65, True, " µs"),
    Figure("… values a commit", "dibs_values_asks", "app_values_asks", unit=""),
    Figure("time of a job, 8 threads, batch=1", "dibs_jobs", unit=" µs"),
    Figure("… against 0.3", "dibs_jobs", "app_jobs", 0.65, True, " µs"),
    Figure("… jobs a commit", "dibs_jobs_asks", "app_jobs_asks", unit=""),
)


def main() -> None:
    package, url, kind, threads, seconds = sys.argv[1:]
    sys.path.insert(0, "")  # the checkout that it runs in
    until = time.monotonic() + float(seconds)
    had = itertools.count()
    with importlib.import_module(f"{package}.client").Client(url) as client:
        use: Callable[..., None] = values if kind == "values" else jobs
        working = [
            threading.Thread(target=use, args=(client.queue("default"), until, had))
            for _ in range(int(threads))
        ]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
    print(next(had))


def values(queue: Any, until: float, had: itertools.count[int]) -> None:
    for _ in queue:
        next(had)
        if time.monotonic() > until:
            return


def jobs(queue: Any, until: float, had: itertools.count[int]) -> None:
    with queue.lease(batch=1) as leases:
        for job in leases:
            with job:
                next(had)
            if time.monotonic() > until:
                return


if __name__ == "__main__":
    main()
