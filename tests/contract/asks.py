"""Short ways to asks, and to what came of them."""

from __future__ import annotations

from dibs.ledger.serve import Ask, HandOut, Holder, Key, Served

ROOM = 1 << 22
LENGTH = 2**53 - 1
"""Of a count: as many values as a queue can have."""


def take(most: int = 1, key: Key | None = None, room: int = ROOM) -> Ask:
    return Ask(HandOut(most, room), key=key)


def lease(token: str, most: int = 1, key: Key | None = None, ttl: int = 30_000, room: int = ROOM) -> Ask:
    return Ask(HandOut(most, room, Holder(token, ttl, "ann")), key=key)


def block(most: int, key: Key | None = None) -> Ask:
    return Ask(HandOut(most, ROOM, block=True), key=key)


def settle(*entries, key: Key | None = None, chance: float = 0.0, then: Ask | None = None) -> Ask:
    """Settle these; ``then`` hand out what this ask wants."""
    return Ask(then and then.handout, entries, key, chance)


def seqs(served: Served) -> list[int] | None:
    """The seqs that were handed out; None for nothing."""
    if served.handed is None:
        return None
    return [seq for first, last, _ in served.handed.spans for seq in range(first, last + 1)]


def verdicts(served: Served) -> list[str]:
    """What became of each range of its entries."""
    return [part.verdict for entry in served.entries for part in entry]
