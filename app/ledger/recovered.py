"""What came of a ledger that had lost transactions, once somebody has said how it goes on."""

from __future__ import annotations

from typing import NamedTuple


class Recovered(NamedTuple):
    """A ledger goes on: it was made whole, or goes on without what is lost.

    ``written`` transactions were written back, ``lost`` are gone for good. Of these, ``passed`` numbers were
    handed out or pushed: they are passed over, and count as jumped. Up to ``again`` items that were done
    since are handed out again. ``gone`` are the queues that were made since. None: nobody knows.
    """

    written: int
    lost: int
    passed: int | None = 0
    again: int | None = 0
    gone: tuple[str, ...] | None = ()
