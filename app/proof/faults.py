"""The faults of a cluster: which there are, in which order they come, and how long each lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

from .members import Members
from .postgres import Postgres


class Fault(StrEnum):
    """One kind of fault, as it is told. ``lasts`` are the least and the most seconds of it."""

    lasts: tuple[float, float]

    OWNER_KILLED = "owner killed", 0.0, 1.0
    OWNER_STOPPED = "owner stopped", 5.0, 8.0  # longer than its silence is borne, so another one owns
    OWNER_PAUSED = "owner stopped briefly", 0.2, 2.5
    FRONT_KILLED = "front killed", 0.0, 1.0
    FRONT_STOPPED = "front stopped", 0.5, 5.0
    DATABASE_KILLED = "PostgreSQL killed", 0.0, 1.5
    DATABASE_STOPPED = "PostgreSQL stopped", 0.5, 6.0

    def __new__(cls, name: str, least: float, most: float) -> Fault:
        """Make the member of this name."""
        fault = str.__new__(cls, name)
        fault._value_, fault.lasts = name, (least, most)
        return fault


OF_SERVERS: Final = (
    Fault.OWNER_KILLED,
    Fault.OWNER_STOPPED,
    Fault.OWNER_PAUSED,
    Fault.FRONT_KILLED,
    Fault.FRONT_STOPPED,
)
"""The faults of a test that is given its database."""


class Cluster(NamedTuple):
    """The servers, and their PostgreSQL where it is the test's own."""

    members: Members
    postgres: Postgres | None


def in_turn(kinds: Sequence[Fault], count: int, random: Random) -> Iterator[Fault]:
    """So many faults: all kinds in a random order, then all of them in another one."""
    turn: list[Fault] = []
    for _ in range(count):
        turn = turn or random.sample(kinds, len(kinds))
        yield turn.pop()


@contextlib.contextmanager
def inflicted(fault: Fault, cluster: Cluster, random: Random) -> Iterator[None]:
    """Begin a fault; the block lasts as long as it does, and then it is mended.

    Raises:
        HarnessFault: what was killed can't be started again.
    """
    members, postgres = cluster
    if fault in {Fault.DATABASE_KILLED, Fault.DATABASE_STOPPED}:
        assert postgres is not None  # noqa: S101  # see OF_SERVERS
        if fault is Fault.DATABASE_KILLED:
            postgres.kill()
            yield
            postgres.start()
        else:
            postgres.freeze()
            yield
            postgres.thaw()
        return
    of_owner = fault in {Fault.OWNER_KILLED, Fault.OWNER_STOPPED, Fault.OWNER_PAUSED}
    server = members.owner() if of_owner else random.choice(members.fronts())
    if fault in {Fault.OWNER_KILLED, Fault.FRONT_KILLED}:
        server.kill()
        yield
        server.start()
    else:
        server.freeze()
        yield
        server.thaw()
