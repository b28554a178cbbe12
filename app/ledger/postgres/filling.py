"""The memory of a new owner: the warm copy, or one that is loaded."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..sqlite.scratch import Scratch
from .loading import load

if TYPE_CHECKING:
    import psycopg

    from .fence import Mark

NOTICE: Final = 25
"""The level of what operators should know of a server that is well; ``api/access_log.py`` names it."""

log = logging.getLogger("dibs.ledger")


class Warm(Protocol):
    """What keeps a copy of the memory of the owner before."""

    def take(self, mark: Mark, reader: psycopg.Connection[Any]) -> Scratch | None:
        """The copy, if it is what PostgreSQL has at this transaction; it is the caller's then."""


def filled(reader: psycopg.Connection[Any], after: Mark, warm: Warm | None) -> Scratch:
    """A memory that has all up to a transaction, the last one of the owner before."""
    began = monotonic()
    if warm is not None and (scratch := warm.take(after, reader)) is not None:
        log.log(NOTICE, "nothing is loaded: the warm copy has all (%.2f s)", monotonic() - began)
        return scratch
    scratch = Scratch()
    try:
        with scratch.transaction:
            load(reader, scratch.writer)
    except BaseException:
        scratch.close()
        raise
    log.log(NOTICE, "the ledger is loaded (%.2f s)", monotonic() - began)
    return scratch
