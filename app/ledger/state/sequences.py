"""Sessions that count their requests up: what is filed under their keys, kept in memory as a cache."""

from __future__ import annotations

from typing import Final, NamedTuple

from .rows import Name

MOST: Final = 100_000
"""Sessions that are remembered; then all are forgotten, and looked up again when they come."""


class Position(NamedTuple):
    """How far a session has come: the request that was answered last, and the ``id`` of its answer."""

    n: int
    digest: str
    expires: int
    id: int


class Sequences:
    """The positions of sessions, as the file has them; whoever owns the only writer owns it.

    It is forgotten when a transaction fails: nobody knows then what the file has.
    """

    __slots__ = ("_positions", "get")

    def __init__(self) -> None:
        self._positions: dict[Name, Position] = {}
        self.get = self._positions.get

    def put(self, name: Name, position: Position) -> None:
        """Remember how far a session has come."""
        if len(self._positions) >= MOST and name not in self._positions:
            self._positions.clear()
        self._positions[name] = position

    def drop(self, name: Name) -> None:
        """Forget a session that has nothing on file any more."""
        self._positions.pop(name, None)

    def forget(self) -> None:
        """Forget all."""
        self._positions.clear()
