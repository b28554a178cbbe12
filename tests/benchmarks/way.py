"""What it must reach: each row's figure, its floor, their ratio, and whether it holds.

    python tests/benchmarks/way.py [--only many --only work …] [--rounds 7] [--seconds 2] [--markdown]

Servers on one core, load on the other. A round runs each part of a row once; the ratio is the median of the
rounds' ratios, and a target holds where no round is below 0.85 of it. Time is the server's processor time for
a request. Needs taskset and wrk; redis-server, beanstalkd and strace for the rows that have them (Debian's
packages). Absolute figures are those of this machine, at this hour; nothing here fails because of a clock.
"""

from __future__ import annotations

from pathlib import Path

import folder
import tabs
import takes
import users
import waits
import work
from figures import Row, measure, options_of

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


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--filed", type=int, default=1_000_000, help="keys filed before those of `keys`")
    parser.add_argument("--takes", type=int, default=1_000_000, help="takes of `growth`")
    parser.add_argument("--backlog", type=int, default=5_000_000, help="items that wait in `backlog`")
    parser.add_argument("--old", type=Path, help="a checkout of 0.3.0, for `clients`")
    measure(ROWS, parser, "one way")


if __name__ == "__main__":
    main()
