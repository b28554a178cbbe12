"""The proof: a history of requests, the checker that judges it, and the load that makes it.

It reaches the server over HTTP only and imports nothing of it, so that it can't share its mistakes.
"""

from __future__ import annotations

from app.proof.checker import check
from app.proof.errors import HarnessFault, HistoryError, PlantError, ProofError
from app.proof.history import HistoryWriter, read_history
from app.proof.records import Audited, End, Header, History, Record
from app.proof.verdict import Finding, Verdict

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
