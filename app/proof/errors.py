"""The errors of the proof: leaves of the tree in ``dibs.errors``.

::

    DibsError
    └── ProofError
        ├── HistoryError     a history can't be read; names the line
        ├── PlantError       a history has no place for this damage
        └── HarnessFault     the load test itself failed: it says nothing about the promises
"""

from __future__ import annotations

from ..errors import DibsError


class ProofError(DibsError):
    """The proof can't be made."""


class HistoryError(ProofError, ValueError):
    """A history can't be read. ``line`` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


class PlantError(ProofError, ValueError):
    """The history has no place for this damage; the message says what it would take."""


class HarnessFault(ProofError):
    """The load test failed, not the server's promises: unreachable, or an answer it can't explain."""
