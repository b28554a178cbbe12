"""Where the time of a hot call goes: the server on one core under py-spy, wrk on the other.

    python tests/benchmarks/where.py [--call next|settle] [--seconds 6] [--tree FOLDER]

``--tree`` is another checkout, to compare with. Needs wrk, taskset and py-spy (from PyPI). Shares are of the
samples in which a thread was at work; what a request costs in all is the processor time of the server, by the
kernel's count. A sample belongs to the innermost of our own places in its stack (see ``PLACES``).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from service import POST, Server, free_port, wrk
from work import SETTLE

PLACES: tuple[tuple[str, str], ...] = (
    ("ledger: commit", r"_transaction \(app/ledger/files\.py:(23[6-9]|24\d)\)"),
    ("ledger: statements", r"app/ledger/(handlers|sqlite|filing|inside|files|statements|codec)"),
    ("committer: batches, waking", r"app/ledger/(committer|entry|pending)"),
    ("answers: write to the socket", r"(answer|reply) \(app/api/fast/connection|send \(uvicorn"),
    (
        "answers: encoding",
        r"app/api/(handout|wire|outcomes|reply)|handed \(app/api/fast|traded \(app/api/fast",
    ),
    ("requests: validation", r"app/api/(fast/trades|entries|bodies|params|read|accept|guards|parcels|front)"),
    ("requests: parsing, routing", r"app/api/|uvicorn|starlette|fastapi"),
    ("draw, line, locks, keys", r"app/(queue|iterators|sources)"),
)
ELSE = "event loop, tasks, the rest"


def place_of(stack: str) -> str:
    """The innermost of our places."""
    for frame in reversed(stack.split(";")):
        for name, pattern in PLACES:
            if re.search(pattern, frame):
                return name
    return ELSE


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--call", choices=("next", "settle"), default="next")
    options.add_argument("--seconds", type=int, default=6)
    options.add_argument("--tree", type=Path, default=Path(__file__).parents[2])
    chosen = options.parse_args()
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise SystemExit("py-spy is not here: pip install py-spy")
    os.environ["PYTHONPATH"] = str(chosen.tree.resolve())
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--data", f"{folder}/data"]
        server = Server([*command, "--queue", "default=count"], port, ready="/readyz")
        try:
            report(chosen, server, spy, Path(folder) / "stacks")
        finally:
            server.stop()


def report(chosen: argparse.Namespace, server: Server, spy: str, stacks: Path) -> None:
    path, script = {
        "next": ("/next", POST),
        "settle": ("/queues/default/settle", SETTLE.replace("MANY", "1")),
    }[chosen.call]
    rate, cost = measured(server, path, script, chosen.seconds)
    command = [spy, "record", "--gil", "-r", "500", "-d", str(chosen.seconds), "-f", "raw", "-o", str(stacks)]
    spying = threading.Timer(
        1,
        lambda: subprocess.run([*command, "--pid", str(server.process.pid)], check=True, capture_output=True),
    )
    spying.start()
    wrk(server.url + path, chosen.seconds + 3, script=script)
    spying.join()
    found: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        found[place_of(stack)] += int(count)
    table = Table("where", "share of the interpreter's time", title=f"{chosen.call}: {rate:,.0f}/s, {cost}")
    for name, count in found.most_common():
        table.add_row(name, f"{count / found.total():.0%}")
    Console(width=100).print(table)


def measured(server: Server, path: str, script: str, seconds: int) -> tuple[float, str]:
    """Requests a second, and what one costs in processor time."""
    before = _cpu(server)
    rate, _ = wrk(server.url + path, seconds, script=script)
    user, system = (
        1e6 * (now - then) / (rate * seconds) for now, then in zip(_cpu(server), before, strict=True)
    )
    return rate, f"{user + system:.1f} µs of processor time a request, {system:.1f} of them in the kernel"


def _cpu(server: Server) -> tuple[float, float]:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


if __name__ == "__main__":
    main()
