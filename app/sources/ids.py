"""``snowflake`` and ``uuid7``: identifiers from the clock, each above the one before.

These sources need no replay: they go on above the last value, which the ledger keeps as the queue's mark, and
above every other identifier that this process made (``floors.py``). So nothing is handed out twice or out of
order, also after a restart with the wall clock set back; while the clock is behind, they count on from the
last value, and they never wait for it.

Written by hand, because a guarantee across restarts needs a floor and a clock as arguments: Python 3.14's
``uuid.uuid7`` keeps its last value in a global and takes neither (python/cpython#138862 has its counter
running ahead), and ``uuid-utils`` takes a timestamp, but no floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Final
from uuid import UUID

from ..errors import SourceChanged
from .arguments import integer
from .context import Context
from .encode import Encode
from .floors import Floor
from .source import Position, Started

TWITTER_EPOCH: Final = 1_288_834_974_657
"""2010-11-04T01:42:54.657Z, in milliseconds since 1970: what most decoders of snowflakes assume."""

_NANOSECONDS: Final = 1_000_000  # in a millisecond
_NODE_BITS: Final = 10
_SEQUENCE_BITS: Final = 12
_TICKS: Final = 1 << (41 + _SEQUENCE_BITS)  # 41 bits of milliseconds: 69 years
_LATEST: Final = (1 << 63) // _NANOSECONDS  # milliseconds; a larger epoch is in another unit
_TAIL_BITS: Final = 74  # of a UUID, without time (48), version (4) and variant (2)
_STEP_BITS: Final = 32


def snowflake(context: Context, /, node: int, epoch: int = TWITTER_EPOCH) -> Started:
    """63-bit integers: 41 bits of milliseconds since ``epoch``, 10 of ``node``, 12 of a sequence; as strings.

    ``node`` must be unlike that of every other generator, the other queues included. ``epoch`` is in
    milliseconds since 1970. More than 4096 in a millisecond borrow from the next. Exhausted after 69 years.
    """
    number = integer("snowflake.node", node, 0, (1 << _NODE_BITS) - 1)
    since = integer("snowflake.epoch", epoch, 0, _LATEST)
    start = partial(_snowflakes, context, number, since)
    return _following(start, context.encode(wide=True), wide=True)


def _snowflakes(context: Context, node: int, epoch: int, mark: str | None) -> Iterator[int]:
    clock, floor = context.clock, context.snowflakes.setdefault((node, epoch), Floor(-1))
    if mark is not None:
        floor.lift(_tick(int(mark)))

    def step(tick: int) -> int:
        """The next identifier. Time and sequence are one counter: the clock, or the tick after the last."""
        return max(tick + 1, (clock() // _NANOSECONDS - epoch) << _SEQUENCE_BITS)

    def generate() -> Iterator[int]:
        while (tick := floor.next(step)) < _TICKS:
            milliseconds, sequence = divmod(tick, 1 << _SEQUENCE_BITS)
            yield (((milliseconds << _NODE_BITS) | node) << _SEQUENCE_BITS) | sequence

    return generate()


def _tick(value: int) -> int:
    milliseconds = value >> (_NODE_BITS + _SEQUENCE_BITS)
    return (milliseconds << _SEQUENCE_BITS) | (value & ((1 << _SEQUENCE_BITS) - 1))


def uuid7(context: Context, /) -> Started:
    """UUIDs of version 7 (RFC 9562 section 5.7), each above the one before, not to be guessed.

    Within a millisecond, and while the clock is behind, the 74 random bits are counted on by a random step
    (section 6.2, method 2); they begin below their half, so that a millisecond has room for 2^41 of them,
    and where it hasn't, the next one is borrowed.
    """
    return _following(partial(_uuids, context), context.encode())


def _following(
    start: Callable[[str | None], Iterator[object]], encode: Encode, *, wide: bool = False
) -> Started:
    """An iterator that begins above the last value, of which ``start`` gets the mark."""

    def above(position: Position) -> Iterator[object]:
        try:
            return start(position.mark)
        except ValueError as error:
            raise SourceChanged(f"the last value {position.mark!r:.60} is not of this source") from error

    return Started(above, encode, "after", wide)


def _uuids(context: Context, mark: str | None) -> Iterator[str]:
    clock, bits, floor = context.clock, context.random_bits, context.uuids
    if mark is not None:
        floor.lift(_split(UUID(mark)))

    def step(last: tuple[int, int]) -> tuple[int, int]:
        time, tail = last
        now = clock() // _NANOSECONDS
        tail += 1 + bits(_STEP_BITS)
        if now > time or tail >> _TAIL_BITS:
            return max(now, time + 1), bits(_TAIL_BITS - 1)
        return time, tail

    return (str(_join(*floor.next(step))) for _ in repeat(None))


def _join(time: int, tail: int) -> UUID:
    a, b = divmod(tail, 1 << 62)
    return UUID(int=(time << 80) | (7 << 76) | (a << 64) | (2 << 62) | b)


def _split(uuid: UUID) -> tuple[int, int]:
    if uuid.version != 7:  # noqa: PLR2004
        raise ValueError(f"{uuid} is not of version 7")
    return uuid.int >> 80, ((uuid.int >> 64) % (1 << 12) << 62) | uuid.int % (1 << 62)
