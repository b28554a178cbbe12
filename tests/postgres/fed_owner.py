"""An owner in a process that is killed in the middle of its work: ``fed_owner.py URL FD CHANCE``.

It feeds a warm copy by the socket that it was given.
"""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "contract")]

from asks import lease, seqs, settle, take
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.serve import Serve
from dibs.ledger.work import Ack, Nack, Parcel, Push
from support.ledgers import owned


def run(url: str, fd: int, chance: random.Random) -> None:
    engine = owned(Ledger(url))
    engine.feed(socket.socket(fileno=fd))
    ids = {row.name: row.id for row in engine.rows()}
    numbers, jobs = ids["numbers"], ids["jobs"]
    held: list[tuple[str, int]] = []
    for n in range(1_000_000):
        ops = []
        if chance.random() < 0.5:
            texts = [f'"{n} {"x" * chance.randrange(200)}"' for _ in range(chance.randrange(1, 30))]
            keys = tuple(f"{n}-{i}" for i in range(len(texts))) if chance.random() < 0.5 else None
            delay = chance.choice((0, 0, 50, 60_000))
            ops.append(Push(jobs, (Parcel(tuple(texts), keys=keys, delay=delay, priority=n % 3),)))
        asks = [lease(f"t{n}", chance.randrange(1, 20), ttl=chance.choice((1, 30_000)))]
        while held and chance.random() < 0.7:
            token, seq = held.pop(chance.randrange(len(held)))
            entry = Ack if chance.random() < 0.7 else Nack
            asks.append(settle(entry(token, ((seq, seq),))))
        serves = [
            Serve(jobs, 1, tuple(asks)),
            Serve(numbers, 1, (take(chance.randrange(1, 5)),), length=10**9),
        ]
        outcomes = engine.apply([*ops, *serves]).outcomes
        held += [(f"t{n}", seq) for seq in seqs(outcomes[len(ops)][0]) or ()]


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), random.Random(sys.argv[3]))
