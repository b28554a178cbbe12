"""The engine alone against its floors, in one run: transactions on a disk, without queues, HTTP or clients.

    python tests/benchmarks/engine.py [--rounds 5] [--pairs 6400] [--backlog 1000000] [--folder DIR]

Ratios are what counts: the absolute figures are those of this machine, at this hour. Nothing here fails
because of a clock. The floor of single items is the same SQL by itself, in the same kind of transactions, on
the same file: two statements a pair, one for the queue's row a transaction.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dibs.ledger.ops import Define
from dibs.ledger.serve import Ask, HandOut, Holder, Key, Serve
from dibs.ledger.sqlite import queues, runs
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import Ack, Parcel, Push
from rich.console import Console
from rich.table import Table

BATCH = 64  # asks a transaction
WORKERS = 16
TTL = 3_600_000
ROOM = 4 << 20
LENGTH = 2**53 - 1  # of a source that counts
DELAYED, LIVE = 100_000, 10_000  # of a backlog of a million; in proportion where it is smaller


class Report:
    def __init__(self) -> None:
        self.table = Table(
            "what", "measured", "against", "ratio", "target", "holds", title="dibs, the engine"
        )

    def row(
        self, what: str, measured: str, against: str, ratio: float, target: float, *, most: bool = False
    ) -> None:
        holds = ratio <= target if most else ratio >= target
        sign = "≤" if most else "≥"
        self.table.add_row(
            what, measured, against, f"{ratio:,.2f}", f"{sign} {target:,g}", "yes" if holds else "[red]no"
        )


class Lab:
    """An engine in a folder of its own, a queue in it, and tokens that are never used twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()
        self._names = iter(range(1_000_000))
        self._tokens = iter(range(1 << 60))

    def open(self) -> None:
        self.engine = SqliteEngine(self.folder)

    def queue(self, source: str = "") -> int:
        return self.apply(Define(f"q{next(self._names)}", source, "{}")).id

    def token(self) -> str:
        return f"{next(self._tokens):032x}"

    def apply(self, op: Any) -> Any:
        return self.engine.apply([op]).outcomes[0]


def lease(token: str, most: int = 1, acked: str | None = None) -> Ask:
    """Lease items; before that, ack all of a lease."""
    return Ask(HandOut(most, ROOM, Holder(token, TTL)), () if acked is None else (Ack(acked),))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--pairs", type=int, default=6_400, help="of single items, a round")
    options.add_argument("--backlog", type=int, default=1_000_000, help="items that wait")
    options.add_argument("--folder", type=Path, help="where the ledgers are made: on the disk that is meant")
    chosen = options.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        lab = Lab(Path(folder) / "small")
        asks_of_a_batch(lab, report, chosen.rounds)
        single_items(lab, report, chosen.rounds, chosen.pairs)
        big_leases(lab, report, chosen.rounds)
        pushed_items(lab, report, chosen.rounds)
        lab.engine.close()
        backlog(Path(folder) / "backlog", report, chosen.backlog)
    Console(width=130).print(report.table)


# -- what an ask costs


def asks_of_a_batch(lab: Lab, report: Report, rounds: int, batches: int = 300) -> None:
    """Processor time of a take: plain, in a session that counts, with a fresh key; 1 and 64 a batch."""
    queue = lab.queue("count")
    sessions = [lab.token() for _ in range(BATCH)]
    kinds: dict[str, Callable[[int, int], Key | None]] = {
        "plain": lambda n, at: None,
        "sequenced": lambda n, at: Key(sessions[at], f"take {n}", n),
        "fresh key": lambda n, at: Key(lab.token(), "take"),
    }
    spent: dict[tuple[str, int], list[float]] = {}
    begun = 1
    for _ in range(rounds):
        for size, (kind, key) in itertools.product((1, BATCH), kinds.items()):
            ops = [
                Serve(queue, 1, tuple(_takes(key, n, size)), length=LENGTH)
                for n in range(begun, begun + batches)
            ]
            begun += batches
            began = time.thread_time()
            _apply_all(lab, ops)
            spent.setdefault((kind, size), []).append((time.thread_time() - began) / batches / size * 1e6)
    for (kind, size), times in spent.items():
        cost, plain = (statistics.median(of) for of in (times, spent["plain", size]))
        what = f"a take, {kind}, {size} a batch, µs of processor time"
        report.table.add_row(what, f"{cost:.1f}", f"plain {plain:.1f}", f"{cost / plain:.2f}", "", "")


def _takes(key: Callable[[int, int], Key | None], n: int, size: int) -> Iterator[Ask]:
    for at in range(size):
        yield Ask(HandOut(1, ROOM), key=key(n, at))


# -- single items


def single_items(lab: Lab, report: Report, rounds: int, pairs: int) -> None:
    """Lease 32 fresh items, each alone, and ack those of the transaction before."""
    ours, bare = lab.queue("count"), lab.queue("count")
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for turn in range(rounds):
        tokens = [[lab.token() for _ in range(BATCH // 2)] for _ in range(0, pairs, BATCH // 2)]
        rates["ours"].append(pairs / timed(partial(_apply_all, lab, list(_pairs(ours, tokens)))))
        rates["bare"].append(pairs / timed(partial(_bare, lab, bare, turn * pairs + 1, tokens)))
    ours_rate, bare_rate = (statistics.median(rates[name]) for name in ("ours", "bare"))
    report.row(
        "lease + ack of single items",
        f"{ours_rate:,.0f}/s",
        f"bare SQL {bare_rate:,.0f}/s",
        ours_rate / bare_rate,
        0.5,
    )


def _apply_all(lab: Lab, ops: list[Any]) -> None:
    for op in ops:
        lab.apply(op)


def _pairs(queue: int, batches: list[list[str]]) -> Iterator[Serve]:
    held: list[str] = []
    for tokens in batches:
        acks = [Ask(None, (Ack(token),)) for token in held]
        yield Serve(queue, 1, (*acks, *map(lease, tokens)), length=LENGTH)
        held = tokens


def _bare(lab: Lab, queue: int, first: int, batches: list[list[str]]) -> None:
    execute = lab.engine.files.writer.execute  # the same connection, with the same settings
    now = lab.engine.now()
    held: list[str] = []
    for tokens in batches:
        execute("BEGIN IMMEDIATE")
        for token in held:
            execute(runs.ACK, (queue, token, now)).fetchall()
        for at, token in enumerate(tokens):
            leased = (1, now + TTL, TTL, 1, token, "", 0, 0, 0, 1)
            execute(runs.INSERT, (queue, first + at, first + at, *leased))
        moved = (first + len(tokens) - 1, 0, 0, len(held), 0, 0, None, 0, queue, first - 1)
        execute(queues.MOVE, moved)
        execute("COMMIT")
        first, held = first + len(tokens), tokens


# -- many items


def big_leases(lab: Lab, report: Report, rounds: int) -> None:
    """16 workers with leases of 1,000 numbers each, acked whole with the next lease; all in a transaction."""
    queue, items, turns = lab.queue("count"), 1_000, 100
    rates = []
    held: list[str | None] = [None] * WORKERS
    for _ in range(rounds):
        ops = []
        for _ in range(turns):
            tokens = [lab.token() for _ in range(WORKERS)]
            asks = [lease(token, items, acked) for token, acked in zip(tokens, held, strict=True)]
            ops.append(Serve(queue, 1, tuple(asks), length=LENGTH))
            held[:] = tokens
        rates.append(items * WORKERS * turns / timed(partial(_apply_all, lab, ops)))
    rate = statistics.median(rates)
    report.row("leases of 1,000 numbers, acked whole, items/s", f"{rate:,.0f}", "1", rate, 1_000_000)


def pushed_items(lab: Lab, report: Report, rounds: int) -> None:
    """Push 1,000 in one op; 16 workers work them off 100 by 100, each ack with the next lease."""
    queue = lab.queue()
    texts = tuple(json.dumps({"n": n, "path": f"/var/data/{n:09}.png"}) for n in range(1_000))
    pushes = [Push(queue, (Parcel(texts),)) for _ in range(50)]
    items = 1_000 * len(pushes)
    rates: dict[str, list[float]] = {"push": [], "work": []}
    for _ in range(rounds):
        rates["push"].append(items / timed(partial(_apply_all, lab, pushes)))
        rates["work"].append(items / timed(partial(_work_off, lab, queue, 100)))
    for name, what in (
        ("push", "pushes of 1,000, a sync each, items/s"),
        ("work", "claim + ack of 100 pushed, items/s"),
    ):
        rate = statistics.median(rates[name])
        report.table.add_row(what, f"{rate:,.0f}", "1", "", "", "")


def _work_off(lab: Lab, queue: int, most: int) -> None:
    held: list[str | None] = [None] * WORKERS
    while True:
        tokens = [lab.token() for _ in range(WORKERS)]
        asks = [lease(token, most, acked) for token, acked in zip(tokens, held, strict=True)]
        if lab.apply(Serve(queue, 1, tuple(asks)))[0].handed is None:
            return
        held[:] = tokens


# -- a backlog


def backlog(folder: Path, report: Report, items: int) -> None:
    """A million items, a tenth of them delayed one by one, and 10,000 leases live: what does a claim cost?"""
    lab = Lab(folder)
    share = items / 1_000_000
    empty, full = lab.queue(), lab.queue()
    payload = _pile_up(lab, full, items, round(DELAYED * share))
    tokens = [lab.token() for _ in range(round(LIVE * share))]
    for begin in range(0, len(tokens), BATCH):
        lab.apply(Serve(full, 1, tuple(map(lease, tokens[begin : begin + BATCH]))))
    lab.engine.close()
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    report.row(
        "data folder against payload",
        f"{stored / 1e6:,.1f} MB",
        f"{payload / 1e6:,.1f} MB",
        stored / payload,
        2,
        most=True,
    )
    seconds = timed(lab.open)
    report.row("to open it again, s", f"{seconds:.3f}", "1", seconds, 2, most=True)
    for size, turns, what in ((1, 2_000, "a claim on"), (BATCH, 500, f"{BATCH} claims a sync on")):
        claims = _claims(lab, empty, full, size, turns)
        for name, at in (("p50", 0.5), ("p99", 0.99)):
            on_full, on_empty = (sorted(claims[queue])[int(turns * at)] * 1e3 for queue in (full, empty))
            report.row(
                f"{what} {items:,} items, {name}",
                f"{on_full:.3f} ms",
                f"empty: {on_empty:.3f} ms",
                on_full / on_empty,
                2,
                most=True,
            )
    lab.engine.close()


def _claims(lab: Lab, empty: int, full: int, size: int, turns: int) -> dict[int, list[float]]:
    """Seconds of transactions that claim single items; the empty queue has just what is claimed."""
    claims: dict[int, list[float]] = {empty: [], full: []}
    for turn in range(turns):
        lab.apply(Push(empty, (Parcel((f'{{"n":{turn}}}',) * size),)))
        for queue, seconds in claims.items():
            op = Serve(queue, 1, tuple(lease(lab.token()) for _ in range(size)))
            seconds.append(timed(partial(lab.apply, op)))
    return claims


def _pile_up(lab: Lab, queue: int, items: int, delayed: int) -> int:
    """Push them; bytes of their values."""
    payload = 0
    for begin in range(0, items, 1_000):
        texts = tuple(
            json.dumps({"n": n, "path": f"/var/data/{n:09}.png"}) for n in range(begin, begin + 1_000)
        )
        late = round(delayed * 1_000 / items)  # of each thousand, each with a due of its own
        parcels = [Parcel(texts[late:])]
        parcels += [Parcel((text,), delay=TTL + begin + n) for n, text in enumerate(texts[:late])]
        lab.apply(Push(queue, tuple(parcels)))
        payload += sum(map(len, texts))
    return payload


if __name__ == "__main__":
    main()
