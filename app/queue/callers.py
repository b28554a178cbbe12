"""Callers: those who are told what came of an ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..errors import DibsError
    from .answers import Answer


class Caller(Protocol):
    """Whoever asks. Exactly one of the two methods is called, once, on the event loop.

    ``gone``: the client has left, and there is no sense in an answer.
    """

    gone: bool

    def answered(self, answer: Answer) -> None:
        """Take an answer: what it says is on disk."""

    def refused(self, error: DibsError) -> None:
        """Take a refusal: nothing was done, or nobody knows."""


class Awaiting:
    """A caller that is a coroutine."""

    __slots__ = ("future", "gone")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Answer] = loop.create_future()
        self.gone = False

    def answered(self, answer: Answer) -> None:
        """Take an answer."""
        if not self.future.done():
            self.future.set_result(answer)

    def refused(self, error: DibsError) -> None:
        """Take a refusal."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # its task may be cancelled: then nobody asks for it


class Nobody:
    """A caller that need not hear of the outcome."""

    gone = True

    def answered(self, answer: Answer) -> None:
        """Nobody is told."""

    def refused(self, error: DibsError) -> None:
        """Nobody is told."""
