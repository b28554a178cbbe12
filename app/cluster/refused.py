"""Requests that a front refuses: the scope has the reason, and the front door answers as it answers all."""

from __future__ import annotations

from typing import Any, Final

from ..errors import Crowded, LedgerError, NoOwner, NotOwner, OutcomeUnknown, Stopping

REFUSED: Final = "dibs.refused"
"""In a scope: the error for which the request is refused, whatever it asks for."""

FAILED: Final = "dibs.failed"
"""In a scope: the error that the front door has answered with."""


SENT: Final = "dibs.sent"
"""In a scope: the request was sent to an owner before, which was lost; nobody knows what that has done."""

UNTOLD: Final = frozenset({401, 403, 429, 503, 507})
"""Statuses of refusals that look no key up: such an answer tells nothing of what was sent before."""


def check(scope: Any) -> None:
    """Raise the error for which a request is refused, if it is."""
    if REFUSED in scope:
        raise scope[REFUSED]


def told(scope: Any, error: BaseException) -> BaseException:
    """The error as the client is told it: of what was sent before no refusal says that nothing was done."""
    untold = Stopping | NotOwner | NoOwner | Crowded | LedgerError
    return unknown() if SENT in scope and isinstance(error, untold) else error


def unknown() -> OutcomeUnknown:
    """The request was sent, and nobody knows what became of it."""
    return OutcomeUnknown(
        "the server that owns the ledger was lost in the middle of this; send it again with its key"
    )


def nobody(why: str = "no server owns the ledger at the moment") -> NoOwner:
    """No owner was there in time, or it could not be reached."""
    return NoOwner(why, retry_after=1.0)
