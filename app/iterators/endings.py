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
    """What stands in the place of a source that gives nothing more."""

    __slots__ = ("_owed", "cause")
    state: ClassVar[State]

    def __init__(self, cause: BaseException | None = None, *, owed: bool = False) -> None:
        self.cause = cause
        self._owed = [cause] if owed and cause is not None else []

    def __next__(self) -> NoReturn:
        raise self.error()

    def owe(self) -> None:
        """The cause itself is for the next caller: this one was given values instead."""
        if self.cause is not None:
            self._owed.append(self.cause)

    def error(self) -> BaseException:
        """What this caller gets: the cause, if it is owed to somebody (one gets it); else the lasting one."""
        try:
            return self._owed.pop()  # atomic: two callers never both get it
        except IndexError:
            error = self.lasting()
        if self.cause is not None:
            error.__cause__ = self.cause
        return error

    def lasting(self) -> BaseException:
        """A fresh exception for a caller who comes after the end."""
        raise NotImplementedError


class Exhausted(Ending):
    """The source raised StopIteration once. It is not asked again, even if it would go on."""

    __slots__ = ()
    state = "exhausted"

    def lasting(self) -> BaseException:
        """An end is an end, for every caller."""
        return StopIteration()


class Failed(Ending):
    """The source raised. Never taken for an end, although a generator that raised would say just that."""

    __slots__ = ()
    state = "failed"

    def lasting(self) -> BaseException:
        """Every caller after the first learns the cause."""
        return SourceFailed(f"the source raised {type(self.cause).__name__}: {self.cause}")


class Closed(Ending):
    """``close()`` was called. The cause is what the source raised before, or what finalizing it raised."""

    __slots__ = ()
    state = "closed"

    def lasting(self) -> BaseException:
        """Nothing more comes."""
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
        """Refused, whatever is asked."""
        return ForkedIterator(
            "this iterator belongs to the parent process: both would hand out the same values "
            "(create it after the fork, or share it through a server with dibs.Client)"
        )
