"""The condition of a queue: what the ledger said of it last, and what its supply has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .gate import Gate, refusal

if TYPE_CHECKING:
    from ..errors import DibsError
    from ..ledger.ops import QueueRow
    from ..ledger.serve import After
    from .supply import Supply


class Condition:
    """A hint whether an ask may be served now, why not, and when. The event loop alone touches it.

    It owns the *gate*, the ``edition`` and ``due``: nothing inside is claimable before that instant; None if
    nothing is inside but the dead. ``stopping``: the server goes down.
    """

    def __init__(self, row: QueueRow, supply: Supply, now: Callable[[], int]) -> None:
        self.gate = Gate.of(row)
        self.supply = supply
        self.edition = row.edition
        self.due: int | None = 0  # until the ledger says so, something may be inside
        self.stopping = False
        self.now = now
        self._over = False

    def learn(self, after: After) -> None:
        """Follow what a batch made of the queue."""
        self.gate = self.gate.after(after)
        self.edition, self.due, self._over = after.edition, after.next_due, after.over
        self.supply.learn(after)

    @property
    def word(self) -> str:
        """The state of the queue, in one word."""
        return self.gate.state(starting=self.supply.starting)

    @property
    def ended(self) -> bool:
        """Whether no fresh item comes any more; whether that is the last word, the ledger says."""
        return self.gate.ending is not None or self.gate.deleted

    @property
    def can_serve(self) -> bool:
        """Whether a round might hand something out, or record an end."""
        if self.gate.paused:
            return False
        return self.supply.ready or (self.due is not None and self.due <= self.now())

    @property
    def last_word(self) -> str | None:
        """The last word that the ledger has said, for all asks that wait."""
        gate = self.gate
        if gate.deleted:
            return "deleted"
        if self._over:
            return "failed" if gate.ending == "failed" else "exhausted"
        return "failed" if gate.ending == "failed" and self.due is None else None

    def why_not(self) -> str:
        """Why no round is needed: something that memory knows, and that is not final."""
        if self.gate.paused:
            return "paused"
        return "dry" if self.supply.drawn else "empty"

    def reason(self, why: str) -> str:
        """A reason, as the caller hears it."""
        if why == "dry":
            supply = self.supply
            why = "starting" if supply.starting else "busy" if supply.pulling else "empty"
        if why == "empty" and self.gate.paused:
            why = "paused"
        return why

    def refusal(self, why: str) -> DibsError | None:
        """The refusal of a request for this reason; None where the queue is only empty."""
        return refusal(why, self.gate)
