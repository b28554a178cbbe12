"""The hot calls of one client's connection at a front, while they are passed on by frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...errors import OutcomeUnknown

if TYPE_CHECKING:
    from .far import Far
    from .responses import Responses


LOST: Final = "the server that owns the ledger was lost in the middle of this; send it again with its key"


class Passing:
    """Passes the calls of a connection on, one at a time; see :class:`~.far.Calling`.

    ``again`` asks the ordinary way, with the bytes of the request, and whether it was sent to an owner
    that was lost. ``abort`` breaks the connection.
    """

    def __init__(
        self, responses: Responses, again: Callable[[bytes, bool], None], abort: Callable[[], None]
    ) -> None:
        self._responses = responses
        self._again = again
        self._abort = abort
        self._far: Far | None = None
        self._number = 0
        self._data = b""
        self.repeats = False

    def call(self, far: Far, data: bytes, *, repeats: bool) -> None:
        """Pass a request on. ``repeats``: it has a key, so that it may be sent twice."""
        self._data, self.repeats = data, repeats
        if far.closed.is_set() or far.crowded:  # of the end the lane hears in a moment
            self._responses.let_go()
            self._again(data, False)
            return
        if self._far is not far:
            self._far, self._number = far, far.open(self, self._responses.peer)
        far.call(self._number, data)
        self._responses.far(self)

    def passed(self, answer: bytes) -> None:
        """Here is the whole response."""
        self._responses.relay(answer)

    def ordinary(self) -> None:
        """Nothing was done: ask the ordinary way."""
        if self._responses.let_go():
            self._again(self._data, False)

    def far_lost(self) -> None:
        """The owner was lost; with a key the next one is asked again."""
        self._far = None
        if self.repeats:
            if self._responses.let_go():
                self._again(self._data, True)
        else:
            self._responses.fail(OutcomeUnknown(LOST))

    def lose(self) -> None:
        """The caller is not let in any more."""
        self._abort()

    # -- as what was asked

    def end(self) -> None:
        """The client sends nothing more."""
        if self._far is not None:
            self._far.end(self._number)

    def drop(self) -> None:
        """The client has gone."""
        if self._far is not None:
            self._far.drop(self._number)
            self._far = None
