"""The access log: a line for each request, whichever door it came in by, and the ids of requests.

A line has no query, no header and no body, so no key, token or payload gets into it.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ..access.secrets import without_secret

if TYPE_CHECKING:
    from ..config import Settings

NOTICE: Final = 25
"""Between INFO and WARNING: what operators did, and what they should know of a server that is well."""
logging.addLevelName(NOTICE, "NOTICE")

REQUEST_ID: Final = b"x-request-id"
_GIVEN: Final = re.compile(rb"[0-9A-Za-z._:/+=@~-]{1,128}")
PATH_MOST: Final = 256
"""Characters of a path that are written."""

Write = Callable[..., Any]
"""Writes a line at INFO: an event, and what is known of it by name."""


def well_formed(given: bytes) -> bool:
    """Whether what a client gave as the id of its request can be one."""
    return _GIVEN.fullmatch(given) is not None


class AccessLog:
    """Writes the lines of one server, where it has somewhere to write to and its level is INFO or below.

    ``on``: whether it does. Who answers a request looks at this first, so that a line costs nothing else
    where none is written. ``made`` makes an id for a request that has none: this server's, and a number.
    """

    def __init__(self) -> None:
        self.on = False
        self.made: Callable[[], bytes] = map(
            (secrets.token_hex(4).encode("ascii") + b"-%x").__mod__, count(1)
        ).__next__
        self._write: Write | None = None

    def begin(self, write: Write, level: str) -> None:
        """Write by ``write`` from now on, where ``level`` asks for it."""
        self._write = write
        self.set_level(level)

    def follow(self, settings: Settings) -> None:
        """Take the level of settings that were changed."""
        if self._write is not None:  # else it is not ours to say
            self.set_level(settings.log_level)

    def set_level(self, level: str) -> None:
        """Log from this level on, a word of the setting ``log_level``: all lines, not these alone."""
        number = logging.getLevelNamesMapping()[level.upper()]
        logging.getLogger().setLevel(number)
        self.on = self._write is not None and number <= logging.INFO

    def line(
        self,
        request: bytes,
        method: str,
        path: str,
        status: int,
        *,
        seconds: float,
        size: int,
        peer: str,
        who: str,
    ) -> None:
        """Write a line.

        Args:
            request: The id of the request.
            method: Its method, or "-" where its head could not be read; so of ``path``.
            path: Its path, without the query.
            status: The status of its answer; 0: the client left before it.
            seconds: From when its head was read to when its answer was out.
            size: Bytes of the answer's body.
            peer: The address that it came from.
            who: The name of its caller.
        """
        if self._write is not None:
            told = {"status": status} if status else {"status": None, "aborted": True}
            self._write(
                "request",
                request_id=request.decode("ascii"),
                method=method,
                path=without_secret(path)[:PATH_MOST],
                **told,
                ms=round(seconds * 1000, 2),
                bytes=size,
                peer=peer,
                who=who,
            )


def host_of(peer: Any) -> str:
    """The address of a peer; a Unix socket has none."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else "unix"
