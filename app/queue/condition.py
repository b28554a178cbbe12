"""The condition of a queue: what the ledger said of it last, and what its supply has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import gate

if TYPE_CHECKING:
    from ..errors import DibsError
    from ..ledger.ops import QueueRow
    from .supply import Supply


class Condition:
    """A hint whether an ask may be served now, why not, and when. The event loop alone touches it.

    It owns ``state``: the queue as of the last batch that touched it; and ``stopping``: the server goes down.
    """

    def __init__(self, row: QueueRow, supply: Supply, now: Callable[[], int]) -> None:
        self.name = row.name
        self.state = gate.standing(row)
        self.supply = supply
        self.stopping = False
        self.now = now

    @property
    def word(self) -> str:
        """The state of the queue, in one word."""
        return gate.word(self.state, starting=self.supply.starting)

    def has_something(self) -> bool:
        """Whether a round might hand something out, or record an end, or tell an ending for good."""
        state = self.state
        if state.ending is not None or state.deleted:
            return True
        return not state.paused and (self.supply.ready or self.due_now())

    def can_serve(self) -> bool:
        """Whether a round might hand something out, or record an end."""
        state = self.state
        if state.paused:
            return False
        return (self.supply.ready and state.ending is None) or self.due_now()

    def due_now(self) -> bool:
        """Whether something inside may be claimed now, as far as is known."""
        due = self.state.next_due
        return due is not None and due <= self.now()

    def last_word(self) -> str | None:
        """The last word that the ledger has said, for all asks that wait."""
        state = self.state
        if state.deleted:
            return "deleted"
        if state.over:
            return "failed" if state.ending == "failed" else "exhausted"
        return "failed" if state.ending == "failed" and state.next_due is None else None

    def why_not(self) -> str:
        """Why no round is needed: something that memory knows, and that is not final."""
        if self.state.paused:
            return "paused"
        return "dry" if self.supply.drawn else "empty"

    def refusal(self, why: str) -> DibsError | None:
        """The refusal of a request for this reason, as its caller hears it; None where it is only empty."""
        supply = self.supply
        if self.stopping and why in gate.WAITS:
            why = "stopping"
        elif why == "dry":
            why = "starting" if supply.starting else "busy" if supply.pulling else "empty"
        if why == "empty" and self.state.paused:
            why = "paused"
        return gate.refusal(why, self.name, self.state)
