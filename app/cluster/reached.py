"""Whether the owner is reached where it says that it is: for the log, for callers, for operators."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from .refused import nobody

if TYPE_CHECKING:
    from ..errors import NoOwner
    from ..ledger.terms import Owner

SETTLED: Final = 2.0
"""Seconds for which an owner has to be out of reach before that is logged: a takeover is over by then."""
ANOTHER: Final = "the server that answers there does not own the ledger"

OTHER_LEDGER: Final = (
    "the server that answers there serves another ledger (do servers of both say the same in --advertise?)"
)

NOT_TAKEN: Final = "what answers there does not take this server's connection"
"""Tells less than the others, so that none of them gives way to it."""

log = logging.getLogger("dibs.cluster")


class Reached:
    """What this server has found at the address of the owner. Lives on the event loop.

    It owns the newest ``failure`` with who was the owner, until that one has answered or is followed by
    another one. ``tell`` is called with a sentence for operators once it has settled, and with none when it
    is over.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._owner: Owner | None = None
        self._failure = ""
        self._since = 0.0
        self._told = ""

    def failed(self, owner: Owner, why: BaseException | str) -> None:
        """The owner could not be asked."""
        now = asyncio.get_running_loop().time()
        if owner != self._owner:
            self.over()
            self._owner, self._since = owner, now
        words = why if isinstance(why, str) else words_of(why)
        if words != NOT_TAKEN or self._failure not in {ANOTHER, OTHER_LEDGER}:
            self._failure = words
        told = unreached(owner.url, self._failure)
        if now - self._since >= SETTLED and told != self._told:
            self._told = told
            log.warning("%s", told)
            self._tell(told)

    def well(self) -> None:
        """The owner has answered."""
        if self._owner is not None:
            if self._told:
                log.warning("the owner is reached again at %s", self._owner.url)
            self.over()

    def follow(self, owner: Owner | None) -> None:
        """Forget what was found of an owner before this one."""
        if owner != self._owner:
            self.over()

    def over(self) -> None:
        """Nothing is known against the owner."""
        if self._told:
            self._tell("")
        self._owner, self._failure, self._told = None, "", ""

    def refusal(self, owner: Owner | None) -> NoOwner:
        """What a caller is told who could not be passed on to this owner."""
        if owner is None or owner != self._owner:
            return nobody()
        return nobody(unreached(owner.url, self._failure))


def declined(status: int) -> str:
    """Why a server has not served what it was passed, by the status of its answer."""
    return OTHER_LEDGER if status == HTTPStatus.MISDIRECTED_REQUEST else ANOTHER


def unreached(url: str, why: str) -> str:
    """The sentence of an owner that is not where it says."""
    return f"the owner says that it is at {url}, and this server can't reach it there: {why}"


def words_of(error: BaseException) -> str:
    """Why a connection failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
