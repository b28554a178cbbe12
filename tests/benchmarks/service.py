"""The service against its floors, in one run: server on one core, wrk on the other.

    python tests/benchmarks/service.py [--rounds 5] [--seconds 4] [--takes 1000000]

Needs wrk (Debian's package), taskset and, for the slow disk, strace. Ratios are what counts: the absolute
figures are those of this machine, at this hour. Nothing here fails because of a clock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
POST = 'wrk.method = "POST"\n'
SERVER_CORE, LOAD_CORE = "0", "1"


class Server:
    """A process on one core, killed at the end whatever happens."""

    def __init__(self, command: list[str], port: int, *, ready: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        began = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # strace and what it traces end together
        )
        self.started = self._await(began, ready)

    def _await(self, began: float, ready: str) -> float:
        while time.perf_counter() - began < 60:
            with contextlib.suppress(
                OSError
            ):  # urllib: a client of httpx takes longer to make than an answer
                urllib.request.urlopen(self.url + ready, timeout=5).close()
                return time.perf_counter() - began
            time.sleep(0.005)
        raise SystemExit(f"{self.url} does not answer")

    def stats(self) -> dict[str, object]:
        return httpx.get(f"{self.url}/stats").json()

    def memory(self) -> float:
        """Resident memory, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):  # what strace left behind, or what would not end
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def dibs(data: Path, *queues: str, slow_sync: bool = False) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "dibs", "serve", "--port", str(port), "--data", str(data)]
    for queue in queues:
        command += ["--queue", queue]
    if slow_sync:
        inject = "inject=fdatasync,fsync:delay_enter=10000"
        command = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", inject, *command]
    server = Server(command, port, ready="/readyz")
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def floor() -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--no-access-log", "--port", str(port), "floor:app"]
    server = Server([*command, "--app-dir", str(HERE)], port, ready="/docs")
    try:
        yield server
    finally:
        server.stop()


def wrk(
    url: str, seconds: float, *, connections: int = 64, threads: int = 1, script: str = POST
) -> tuple[float, float]:
    """Requests a second, and the latency at p99 in milliseconds; every answer has to be a 2xx."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        command = ["taskset", "-c", LOAD_CORE, "wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s"]
        output = subprocess.run(
            [*command, "--latency", "-s", lua.name, url], capture_output=True, text=True, check=True
        ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{url}: {output}")
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), float(p99) * {
        "us": 0.001,
        "ms": 1.0,
        "s": 1000.0,
    }[unit]


class Report:
    def __init__(self) -> None:
        self.table = Table(
            "what", "measured", "against", "ratio", "target", "holds", title="dibs, the service"
        )

    def row(
        self, what: str, measured: str, against: str, ratio: float, target: float, *, most: bool = False
    ) -> None:
        holds = ratio <= target if most else ratio >= target
        sign = "≤" if most else "≥"
        self.table.add_row(
            what, measured, against, f"{ratio:,.2f}", f"{sign} {target:,g}", "yes" if holds else "[red]no"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--takes", type=int, default=1_000_000, help="single takes before the footprint")
    chosen = options.parse_args()
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not here: apt-get install {tool}")
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        hand_outs(Path(folder), report, chosen.rounds, chosen.seconds)
        slow_disk(Path(folder), report, chosen.seconds)
        footprint(Path(folder), report, chosen.takes)
    Console(width=120).print(report.table)


def requests_a_sync(before: dict, after: dict) -> float:
    """Of what a server answered between two looks at its statistics."""
    syncs = after["ledger"]["syncs"] - before["ledger"]["syncs"]
    return (after["requests"] - before["requests"]) / syncs


def hand_outs(folder: Path, report: Report, rounds: int, seconds: int) -> None:
    keyed = (
        "n = 0\nrequest = function()\n n = n + 1\n"
        ' return wrk.format("POST", nil, {["Idempotency-Key"]=KEY .. n})\nend\n'
    )
    rates: dict[str, list[float]] = {name: [] for name in ("floor", "next", "keyed", "many", "block")}
    grouped: list[float] = []
    for turn in range(rounds):
        with floor() as server:
            rates["floor"].append(wrk(f"{server.url}/next", seconds)[0])
        with dibs(folder / "rates") as server:
            before = server.stats()
            rates["next"].append(wrk(f"{server.url}/next", seconds)[0])
            grouped.append(requests_a_sync(before, server.stats()))
            script = keyed.replace("KEY", json.dumps(f"{turn}-"))
            rates["keyed"].append(wrk(f"{server.url}/next", seconds, script=script)[0])
            rates["many"].append(1000 * wrk(f"{server.url}/next?count=1000", seconds, connections=16)[0])
            rates["block"].append(
                1000 * wrk(f"{server.url}/queues/default/block?size=1000", seconds, connections=16)[0]
            )
    median = {name: statistics.median(values) for name, values in rates.items()}
    base = median["floor"]
    against = f"FastAPI def, memory: {base:,.0f}/s"
    report.row(
        "durable POST /next, 64 connections", f"{median['next']:,.0f}/s", against, median["next"] / base, 0.6
    )
    ratio = f"{median['keyed'] / median['next']:,.2f}"
    report.table.add_row(
        "… with a fresh Idempotency-Key each", f"{median['keyed']:,.0f}/s", "without a key", ratio, "", ""
    )
    report.row("… requests a sync", f"{statistics.median(grouped):,.1f}", "1", statistics.median(grouped), 4)
    report.row(
        "durable POST /next?count=1000, values/s", f"{median['many']:,.0f}", "1", median["many"], 300_000
    )
    report.row(
        "durable block?size=1000, numbers/s", f"{median['block']:,.0f}", "1", median["block"], 1_000_000
    )


def slow_disk(folder: Path, report: Report, seconds: int) -> None:
    if not shutil.which("strace"):
        report.table.add_row("requests a sync, 10 ms in each sync", "not measured: no strace", "", "", "", "")
        return
    with dibs(folder / "slow", slow_sync=True) as server:
        for connections, target in ((64, 20), (256, 80)):
            before = server.stats()
            rate, _ = wrk(f"{server.url}/next", seconds, connections=connections)
            grouped = requests_a_sync(before, server.stats())
            what = f"requests a sync, 10 ms in each sync, {connections} connections"
            report.row(what, f"{grouped:,.1f} ({rate:,.0f}/s)", "1", grouped, target)
        with httpx.Client() as client:
            alone = statistics.median(_timed(client, server) for _ in range(20))
        report.row(
            "… a lone request, seconds", f"{alone:.4f}", "one sync: 0.010", alone / 0.010, 1.5, most=True
        )


def _timed(client: httpx.Client, server: Server) -> float:
    began = time.perf_counter()
    client.post(f"{server.url}/next").raise_for_status()
    return time.perf_counter() - began


def footprint(folder: Path, report: Report, takes: int) -> None:
    data = folder / "footprint"
    with dibs(data, "default=count()") as server:
        wrk(f"{server.url}/next", 1)
        before, taken = server.memory(), 0
        while taken < takes:
            wrk(f"{server.url}/next", 10)
            taken = server.stats()["queues"][0]["taken"]
        grown = server.memory() - before
        size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 1e6
        report.row(f"data folder after {takes:,} takes, MB", f"{size:.2f}", "", size, 5, most=True)
        report.row("memory grown over them, MB", f"{grown:.1f}", f"{before:.0f} MB", grown, 10, most=True)
        httpx.post(f"{server.url}/queues/default/advance", json={"to_seq": 1_000_000_000}).raise_for_status()
    with dibs(data, "default=count()") as server:
        first = httpx.post(f"{server.url}/next").json()["value"]
        if first != 1_000_000_001:
            raise SystemExit(f"began again at {first}")
        report.row(
            "start-up, cursor at 1,000,000,000, s", f"{server.started:.2f}", "", server.started, 1, most=True
        )


if __name__ == "__main__":
    main()
