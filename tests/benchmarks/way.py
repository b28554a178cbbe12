"""What it must reach: each row's figure, its floor, their ratio, and whether it holds.

    python tests/benchmarks/way.py [--only many --only work …] [--rounds 7] [--seconds 2] [--markdown]

Servers on one core, load on the other. A round runs each part of a row once; the ratio is the median of the
rounds' ratios, and a target holds where no round is below 0.85 of it. Time is the server's processor time for
a request. Needs taskset and wrk; redis-server, beanstalkd and strace for the rows that have them (Debian's
packages). Absolute figures are those of this machine, at this hour; nothing here fails because of a clock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import folder
import tabs
import takes
import users
import waits
import work
from figures import Row, Run, lines, print_table
from servers import LOAD_CORE

ROWS = {
    "many": Row(takes.many, takes.MANY),
    "lone": Row(takes.lone, takes.LONE),
    "clients": Row(users.clients, users.CLIENTS),
    "next": Row(takes.durable, takes.NEXT),
    "keys": Row(takes.keys, takes.KEYS),
    "parked": Row(waits.parked, waits.PARKED),
    "work": Row(work.singles, work.WORK),
    "hundreds": Row(work.hundreds, work.HUNDREDS),
    "pushes": Row(work.pushes, work.PUSHES),
    "queues": Row(takes.queues, takes.QUEUES),
    "source": Row(takes.source, takes.SOURCE),
    "idle": Row(waits.idle, waits.IDLE),
    "growth": Row(folder.growth, folder.GROWTH),
    "start": Row(folder.start, folder.START),
    "batches": Row(takes.batches, takes.BATCHES),
    "slow-disk": Row(takes.slow_disk, takes.SLOW_DISK),
    "backlog": Row(work.backlog, work.BACKLOG),
    "page": Row(tabs.page, tabs.PAGE),
}


def measured(name: str, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The lines of a row; those of the rounds that were done, where it failed or its time was up."""
    row = ROWS[name]
    with tempfile.TemporaryDirectory(dir=options.folder) as data:
        run = Run(name, Path(data), options)
        signal.alarm(options.limit)
        try:
            row.measure(run)
        except Exception as error:
            yield name, "not measured to its end", f"{type(error).__name__}: {error}"[:300], "", "", ""
        finally:
            signal.alarm(0)
    yield from lines(run, row.figures)


def time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError("its time was up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each load")
    parser.add_argument("--limit", type=int, default=1200, help="seconds that a row may take")
    parser.add_argument("--filed", type=int, default=1_000_000, help="keys filed before those of `keys`")
    parser.add_argument("--takes", type=int, default=1_000_000, help="takes of `growth`")
    parser.add_argument("--backlog", type=int, default=5_000_000, help="items that wait in `backlog`")
    parser.add_argument("--folder", type=Path, help="on the disk that is meant; in memory there are no syncs")
    parser.add_argument("--old", type=Path, help="a checkout of 0.3.0, for `clients`")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if missing := [tool for tool in ("wrk", "taskset") if not shutil.which(tool)]:
        raise SystemExit(f"missing: {', '.join(missing)}")
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    signal.signal(signal.SIGALRM, time_is_up)
    found = []
    for name in options.only or ROWS:
        for line in measured(name, options):
            print(" | ".join(line), file=sys.stderr, flush=True)
            found.append(line)
    print_table(found, markdown=options.markdown)
    print(f"Python {sys.version.split()[0]}, {options.rounds} rounds of {options.seconds} s a load")


if __name__ == "__main__":
    main()
