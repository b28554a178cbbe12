"""Values that were drawn and then not handed out: an interrupted take, a cancelled async pull."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Owner(Protocol):
    """What a `Front` and a `Wreck` need of the shared source that they stand in."""

    iterator: Any

    def mend(self) -> None:
        """Put a turn that was cut short in order."""


class Wreck:
    """Stands in the source's place after a turn that was cut short where there was no room for a call.

    At the limit of recursion not even the cleaning up can be called; only stores are certain. So each shared
    iterator has one wreck ready, and puts it before the source together with the values drawn or the
    exception raised. The next caller puts them in order first: no drawn value is lost, and no failure passes
    for an end.
    """

    __slots__ = ("behind", "owner")

    def __init__(self) -> None:
        self.behind: Any = None
        self.owner: Any = None

    def __iter__(self) -> Wreck:
        return self

    def __next__(self) -> Any:
        owner = self.owner
        owner.mend()
        return next(owner.iterator)


class Front(Iterator[T]):
    """Stands before the source, gives its own values first, and then steps aside for good.

    Like the source, it may be pulled only with the owner's lock held.

    Args:
        owner: The shared source.
        values: What was drawn and not handed out.
        before: Called before a value is taken here: it may leave the value to whom it was drawn for.
    """

    def __init__(self, owner: Owner, values: Iterable[T], before: Callable[[], None] | None = None) -> None:
        self.values = values if isinstance(values, deque) else deque(values)
        self._before = before
        self.behind: Iterator[T] = owner.iterator
        self._owner = owner

    def __next__(self) -> T:
        if self._before is not None:
            self._before()
        try:
            return self.values.popleft()
        except IndexError:
            self._owner.iterator = self.behind
        return next(self.behind)

    def drain(self) -> list[T]:
        """Take all of its values at once."""
        if self._before is not None:
            self._before()
        drained: list[T] = []
        while self.values:
            try:
                drained.append(self.values.popleft())
            except IndexError:  # an async caller claimed it in this very moment
                break
        self._owner.iterator = self.behind
        return drained
