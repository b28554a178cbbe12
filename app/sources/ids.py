"""``snowflake`` and ``uuid7``: identifiers from the clock, each above the one before.

They need no replay: they go on above the last value, which the ledger keeps as the queue's mark. So nothing
is handed out twice or out of order, also after a restart with the wall clock set back; while the clock is
behind, they count on from the last value, and they never wait for it.

Written by hand, because a guarantee across restarts needs a floor and a clock as arguments: Python 3.14's
``uuid.uuid7`` keeps its last value in a global and takes neither (python/cpython#138862 has its counter
running ahead), and ``uuid-utils`` takes a timestamp but then promises no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final
from uuid import UUID

from app.sources.arguments import integer
from app.sources.context import Context
from app.sources.source import Following

TWITTER_EPOCH: Final = 1_288_834_974_657
"""2010-11-04T01:42:54.657Z, in milliseconds since 1970: what most decoders of snowflakes assume."""

_NANOSECONDS: Final = 1_000_000  # in a millisecond
_NODE_BITS: Final = 10
_SEQUENCE_BITS: Final = 12
_TICKS: Final = 1 << (41 + _SEQUENCE_BITS)  # 41 bits of milliseconds: 69 years
_LATEST: Final = (1 << 63) // _NANOSECONDS  # milliseconds; a larger epoch is in another unit
_TAIL_BITS: Final = 74  # of a UUID, without time (48), version (4) and variant (2)
_STEP_BITS: Final = 32


def snowflake(context: Context, /, node: int, epoch: int = TWITTER_EPOCH) -> Following:
    """63-bit integers: 41 bits of milliseconds since ``epoch``, 10 of ``node``, 12 of a sequence; as strings.

    ``node`` must be unlike that of every other generator, the other queues included. ``epoch`` is in
    milliseconds since 1970. More than 4096 in a millisecond borrow from the next. Exhausted after 69 years.
    """
    number = integer("snowflake.node", node, 0, (1 << _NODE_BITS) - 1)
    since = integer("snowflake.epoch", epoch, 0, _LATEST)
    start = partial(_snowflakes, context.clock, number, since)
    return Following(start, context.encode(wide=True), wide=True)


def _snowflakes(clock: Callable[[], int], node: int, epoch: int, mark: str | None) -> Iterator[int]:
    """Time and sequence are one counter: the later of the clock and the tick after the last."""
    last = -1 if mark is None else _tick(int(mark))

    def generate(tick: int) -> Iterator[int]:
        while (tick := max(tick + 1, (clock() // _NANOSECONDS - epoch) << _SEQUENCE_BITS)) < _TICKS:
            milliseconds, sequence = divmod(tick, 1 << _SEQUENCE_BITS)
            yield (((milliseconds << _NODE_BITS) | node) << _SEQUENCE_BITS) | sequence

    return generate(last)


def _tick(value: int) -> int:
    milliseconds = value >> (_NODE_BITS + _SEQUENCE_BITS)
    return (milliseconds << _SEQUENCE_BITS) | (value & ((1 << _SEQUENCE_BITS) - 1))


def uuid7(context: Context, /) -> Following:
    """UUIDs of version 7 (RFC 9562 section 5.7), each above the one before, not to be guessed.

    Within a millisecond, and while the clock is behind, the 74 random bits are counted on by a random step
    (section 6.2, method 2); they begin below their half, so that a millisecond has room for 2^41 of them,
    and where it hasn't, the next one is borrowed.
    """
    return Following(partial(_uuids, context.clock, context.random_bits), context.encode())


def _uuids(clock: Callable[[], int], bits: Callable[[int], int], mark: str | None) -> Iterator[str]:
    last = (-1, 0) if mark is None else _split(UUID(mark))

    def generate(time: int, tail: int) -> Iterator[str]:
        while True:
            now = clock() // _NANOSECONDS
            tail += 1 + bits(_STEP_BITS)
            if now > time or tail >> _TAIL_BITS:
                time = max(now, time + 1)
                tail = bits(_TAIL_BITS - 1)
            yield str(_join(time, tail))

    return generate(*last)


def _join(time: int, tail: int) -> UUID:
    a, b = divmod(tail, 1 << 62)
    return UUID(int=(time << 80) | (7 << 76) | (a << 64) | (2 << 62) | b)


def _split(uuid: UUID) -> tuple[int, int]:
    if uuid.version != 7:  # noqa: PLR2004
        raise ValueError(f"{uuid} is not of version 7")
    return uuid.int >> 80, ((uuid.int >> 64) % (1 << 12) << 62) | uuid.int % (1 << 62)
