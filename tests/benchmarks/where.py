"""Where the time of a hot call goes: the server on one core under py-spy, wrk on the other.

    python tests/benchmarks/where.py [--call next|settle|queues] [--seconds 6] [--tree FOLDER]

``--tree`` is another checkout, to compare with. Needs wrk, taskset and py-spy (from PyPI). A sample is a
moment at which a thread had the interpreter's lock, and belongs to the innermost of our own places in its
stack (see ``PLACES``). The server is not stopped for it (``--nonblocking``): stopped, it is half as fast,
and seems to spend a quarter of its time on locks. Without ``--gil`` parked threads pass for busy ones.
What is left of the time between two answers is the kernel, SQLite, the disk, and waiting for wrk; no
sample tells those apart, but the kernel's count of processor time tells how much of it is work.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from counting import MANY_QUEUES, SETTLE, define_queues
from rich.console import Console
from rich.table import Table
from service import LOAD_CORE, POST, Server, free_port, wrk

PLACES: tuple[tuple[str, str], ...] = (
    ("ledger: begin, commit (without the disk)", r"transaction \(app/ledger/sqlite/commit"),
    ("ledger: statements", r"app/ledger/(state|sqlite)/"),
    ("committer: batches, waking", r"app/ledger/(committer|entry|pending)"),
    ("answers: write to the socket", r"(_write|reply) \(app/api/lane/responses|send \(uvicorn"),
    (
        "answers: encoding",
        r"app/api/(answers|records|reply)",
    ),
    (
        "requests: validation",
        r"app/api/(requests|shapes|settling|models|fields|validation|queries|keys|accept|guards|admission|json_text)",
    ),
    ("requests: parsing, routing", r"app/api/|uvicorn|starlette|fastapi"),
    ("draw, line, locks, keys", r"app/(queue|iterators|sources)"),
)
ELSE = "event loop, tasks, the rest"
HERTZ = 500


def place_of(stack: str) -> str:
    """The innermost of our places."""
    for frame in reversed(stack.split(";")):
        for name, pattern in PLACES:
            if re.search(pattern, frame):
                return name
    return ELSE


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--call", choices=("next", "settle", "queues"), default="next")
    options.add_argument("--seconds", type=int, default=6)
    options.add_argument("--tree", type=Path, default=Path(__file__).parents[2])
    chosen = options.parse_args()
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise SystemExit("py-spy is not here: pip install py-spy")
    os.environ["PYTHONPATH"] = str(chosen.tree.resolve())
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "dibs", "serve", "--port", str(port), "--data", f"{folder}/data"]
        server = Server([*command, "--queue", "default=count"], port, ready="/readyz")
        try:
            if chosen.call == "queues":
                define_queues(server, 1000)
            report(chosen, server, spy, Path(folder) / "stacks")
        finally:
            server.stop()


def report(chosen: argparse.Namespace, server: Server, spy: str, stacks: Path) -> None:
    path, script = {
        "next": ("/next", POST),
        "settle": ("/queues/default/settle", SETTLE.replace("MANY", "1")),
        "queues": ("/", POST + MANY_QUEUES.replace("QUEUES", "1000")),
    }[chosen.call]
    rate, user, system, commits = measured(server, path, script, chosen.seconds)
    command = [
        spy,
        "record",
        "--gil",
        "--nonblocking",
        "-r",
        str(HERTZ),
        "-d",
        str(chosen.seconds),
        "-f",
        "raw",
        "-o",
        str(stacks),
    ]
    spying = subprocess.Popen(
        ["taskset", "-c", LOAD_CORE, *command, "--pid", str(server.process.pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        watched, _ = wrk(server.url + path, chosen.seconds + 2, script=script)
        _, said = spying.communicate(timeout=60)
    finally:
        if spying.poll() is None:
            spying.kill()
    if spying.returncode or not stacks.exists():
        raise SystemExit(f"py-spy could not look (may it trace processes?): {said.strip()}")
    found: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        found[place_of(stack)] += int(count)
    whole, due = 1e6 / rate, HERTZ * chosen.seconds
    title = f"{chosen.call}: {rate:,.0f}/s ({watched:,.0f} under py-spy), {whole:.1f} µs between two answers"
    table = Table("where", title=title, min_width=len(title))
    table.add_column("of the interpreter", justify="right")
    table.add_column("µs a request", justify="right")
    for name, count in found.most_common():
        table.add_row(name, f"{count / found.total():.0%}", f"{count / due * whole:.1f}")
    table.add_section()
    held = min(found.total() / due, 1.0) * whole
    table.add_row("the interpreter", "100%", f"{held:.1f}")
    table.add_row("without it: kernel, SQLite, disk, idle", "", f"{whole - held:.1f}")
    table.add_section()
    table.add_row("processor time, of the whole", "", f"{user + system:.1f}")
    table.add_row("… in the kernel", "", f"{system:.1f}")
    table.add_row("nothing to run: waits for the disk or wrk", "", f"{max(0.0, whole - user - system):.1f}")
    Console(width=100).print(table, commits)


def measured(server: Server, path: str, script: str, seconds: int) -> tuple[float, float, float, str]:
    """Requests a second; microseconds of one, in the program and in the kernel; and a word on the commits."""
    then, before, began = _cpu(server), server.stats(), time.perf_counter()
    rate, _ = wrk(server.url + path, seconds, script=script)
    took, now, after = time.perf_counter() - began, _cpu(server), server.stats()
    requests = after["requests"] - before["requests"] or rate * took
    user, system = (1e6 * (b - a) / requests for a, b in zip(then, now, strict=True))
    ledger = after["ledger"]
    syncs = ledger["syncs"] - before["ledger"]["syncs"]
    word = f"{requests / syncs:.1f} requests a sync; a commit takes {ledger['commit']['p50'] * 1000:.2f} ms"
    return rate, user, system, word


def _cpu(server: Server) -> tuple[float, float]:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


if __name__ == "__main__":
    main()
