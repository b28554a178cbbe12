"""The log of the server: lines on stderr in which nothing that is quoted can act."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from ..inert import inert


class InertFormatter(logging.Formatter):
    """A record is one line, whatever is in it; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return inert(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback under it."""
        return inert(super().formatException(ei), lines=True)

    def formatStack(self, stack_info: str) -> str:
        """The stack under it."""
        return inert(super().formatStack(stack_info), lines=True)


def log_to_stderr() -> None:
    """Warnings and worse go to stderr, each with its time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(InertFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
