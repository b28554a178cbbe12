"""The proof: a history of requests, the checker that judges it, and the load that makes it.

The proof reaches the server over HTTP only and imports none of its code, so that it can't share its mistakes.
"""

from __future__ import annotations

from .checker import check
from .errors import HarnessFault, HistoryError, PlantError, ProofError
from .history import HistoryWriter, read_history
from .records import Audited, End, Header, History, Record
from .verdict import Finding, Verdict

__all__ = [
    "Audited",
    "End",
    "Finding",
    "HarnessFault",
    "Header",
    "History",
    "HistoryError",
    "HistoryWriter",
    "PlantError",
    "ProofError",
    "Record",
    "Verdict",
    "check",
    "read_history",
]
