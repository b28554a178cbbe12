"""The bytes of requests that are not answered: counted for all connections, and bounded in all."""

from __future__ import annotations

from typing import Protocol

from ..problems import RequestRefused


class Keeper(Protocol):
    """A connection that keeps bytes of unfinished requests."""

    def give_up(self) -> None:
        """Keep nothing more, answer 503 where nothing was begun yet, and close."""


class Budget:
    """The bytes that all connections keep: halves of heads and bodies, requests ahead.

    Large bodies that are whole are ``held``, until their request is done: to give them up frees nothing.
    Over ``most`` bytes in all, the newest of the others is given up: what has been coming for longer is let
    come.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self._kept: dict[Keeper, int] = {}  # in the order in which they began

    def set(self, keeper: Keeper, kept: int) -> None:
        """``keeper`` keeps so many bytes now."""
        self.total += kept - self._kept.get(keeper, 0)
        if kept:
            self._kept[keeper] = kept
        else:
            self._kept.pop(keeper, None)
        self._bound()

    def hold(self, size: int) -> bool:
        """Hold a whole body until :meth:`let_go`; False if those held leave no room for it."""
        self.total += size
        self._bound()
        if self.total > self.most:
            self.total -= size
            return False
        return True

    def let_go(self, size: int, _task: object = None) -> None:
        """The request of a body that was held is done."""
        self.total -= size

    def overloaded(self) -> RequestRefused:
        """503, which names the limit."""
        return RequestRefused(
            "overloaded",
            f"unfinished requests are over {self.most} bytes in all",
            field="body",
            limit=self.most,
        )

    def _bound(self) -> None:
        while self.total > self.most and self._kept:
            newest, its = self._kept.popitem()
            self.total -= its
            newest.give_up()
