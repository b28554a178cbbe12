"""The warm copies that a server keeps while it does not own, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .following import Following

if TYPE_CHECKING:
    import psycopg


class Copies:
    """Owns the ``one`` that is kept now. Lives on the event loop, but for looks at it."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self.one: Following | None = None
        self._connect = connect

    def begin(self, term: int, lost: Callable[[], None]) -> Following:
        """Begin another one, of the memory of the owner in this term; ``lost`` is called at its end."""
        self.drop("another one is begun")
        self.one = Following(self._connect, term, lost=lost)
        return self.one

    def leave(self, term: int) -> None:
        """Another server owns in this term: a copy of an earlier one is of no use."""
        if self.one is not None and self.one.term < term:
            self.drop("another server owns now")

    def drop(self, why: str) -> None:
        """Keep none."""
        one, self.one = self.one, None
        if one is not None:
            one.close(why)

    def lag(self) -> int | None:
        """By how many transactions it is behind; None where there is none, or not yet."""
        one = self.one
        return None if one is None else one.lag
