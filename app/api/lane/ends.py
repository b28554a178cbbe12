"""The two ends of a hot call, as its connection sees them: where it is answered, and where its client is."""

from __future__ import annotations

from typing import Any, Protocol


class Writes(Protocol):
    """What responses are written to."""

    def write(self, data: bytes) -> None:
        """Write a response."""

    def get_extra_info(self, name: str) -> Any:
        """Who is at the other end: ``peername``."""


class Asked(Protocol):
    """What was asked, until it is answered."""

    def end(self) -> None:
        """The client sends nothing more: answer without waiting."""

    def drop(self) -> None:
        """The client has gone."""
