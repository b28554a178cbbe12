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

from collections.abc import Iterator
from typing import ClassVar, NoReturn

from ..errors import ForkedIterator, SourceClosed, SourceFailed
from .stats import State


class Ending(Iterator["NoReturn"]):
    """Takes the place of a source that has ended: an iterator that raises for every later caller."""

    __slots__ = ("_owed", "cause")
    state: ClassVar[State]

    def __init__(self, cause: BaseException | None = None, *, owed: bool = False) -> None:
        self.cause = cause
        self._owed = [cause] if owed and cause is not None else []

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
            error = self.lasting()
        if self.cause is not None:
            error.__cause__ = self.cause
        return error

    def lasting(self) -> BaseException:
        """A new exception for a caller that comes after the end."""
        raise NotImplementedError


class Exhausted(Ending):
    """The source raised StopIteration once. It is not resumed again, even if it would go on."""

    __slots__ = ()
    state = "exhausted"

    def lasting(self) -> BaseException:
        """StopIteration, for every caller."""
        return StopIteration()


class Failed(Ending):
    """The source raised an exception. Callers never hear StopIteration, as a finished generator would say."""

    __slots__ = ()
    state = "failed"

    def lasting(self) -> BaseException:
        """`SourceFailed` with the cause, for every caller after the first."""
        return SourceFailed(f"the source raised {type(self.cause).__name__}: {self.cause}")


class Closed(Ending):
    """``close()`` was called. The cause is the exception of the source, or of finalizing it."""

    __slots__ = ()
    state = "closed"

    def lasting(self) -> BaseException:
        """`SourceClosed`, for every caller."""
        return SourceClosed("the iterator was closed")


class Forked(Ending):
    """This process is a child of the one that owns the source.

    The source is kept, not dropped: dropping a generator runs its ``finally`` blocks, and those are the
    parent's to run.
    """

    __slots__ = ("_source",)
    state = "closed"

    def __init__(self, source: object) -> None:
        super().__init__()
        self._source = source

    def lasting(self) -> BaseException:
        """`ForkedIterator`, for every caller in the child."""
        return ForkedIterator(
            "this iterator belongs to the parent process: both would hand out the same values "
            "(create it after the fork, or share it through a server with dibs.Client)"
        )
