"""How a shared iterator ends: three different ways, never one mistaken for another.

::

    open ──StopIteration──► exhausted
      ├────exception──────► failed
      └────close()────────► closed

An ending takes the source's place: it is an iterator that raises what every later caller must see. So
a pull pays nothing for the question whether the source has ended. The first ending stays, as for a plain
generator: ``close()`` after it only finalizes. (Unless that drops values which were drawn and put back:
then it is closed, as *exhausted* would say that somebody was given them.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NoReturn

from ..errors import ForkedIterator, SourceClosed, SourceFailed
from ..quote import message_of
from .stats import State

How = Literal["exhausted", "failed", "closed", "forked"]


class Ending(Iterator["NoReturn"]):
    """Takes the place of a source that has ended: an iterator that raises for every later caller.

    Args:
        how: ``exhausted``: the source raised StopIteration once, and is not resumed even if it would go on.
            ``failed``: it raised `cause`; callers never hear StopIteration, as a finished generator would
            say. ``closed``: ``close()`` was called. ``forked``: this process is a child of the one that owns
            the source.
        cause: The exception of the source, or of finalizing it.
        owed: Whether the next caller gets the cause itself, since nobody had it yet.
        keeps: What must live as long as the ending: dropping a generator runs its ``finally`` blocks, and
            in a forked child those are the parent's to run.
    """

    __slots__ = ("_keeps", "_owed", "cause", "how")

    def __init__(
        self, how: How, cause: BaseException | None = None, *, owed: bool = False, keeps: object = None
    ) -> None:
        self.how: How = how
        self.cause = cause
        self._owed = [cause] if owed and cause is not None else []
        self._keeps = keeps

    @property
    def state(self) -> State:
        """What the iterator's own ``state`` says of this ending."""
        return "closed" if self.how == "forked" else self.how

    def __next__(self) -> NoReturn:
        raise self.error()

    def owe(self) -> None:
        """Keep the cause for the next caller, since this one was given values instead."""
        if self.cause is not None:
            self._owed.append(self.cause)

    def error(self) -> BaseException:
        """The exception for this caller: the cause itself, if no caller had it yet; else a lasting one."""
        try:
            return self._owed.pop()  # atomic: two callers never both get it
        except IndexError:
            error = _LASTING[self.how](self.cause)
        if self.cause is not None:
            error.__cause__ = self.cause
        return error


_LASTING: Final[dict[How, Callable[[BaseException | None], BaseException]]] = {
    "exhausted": lambda _: StopIteration(),
    "failed": lambda cause: SourceFailed(f"the source raised {type(cause).__name__}: {message_of(cause)}"),
    "closed": lambda _: SourceClosed("the iterator was closed"),
    "forked": lambda _: ForkedIterator(
        "this iterator belongs to the parent process: both would hand out the same values "
        "(create it after the fork, or share it through a server with dibs.Client)"
    ),
}
"""What a caller is told who comes after the end, and after the one who got the cause."""
