"""Backups of the ledger, while the server works."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..errors import Forbidden, LimitExceeded, QueueConflict
from ..ledger import MEMORY

if TYPE_CHECKING:
    from ..ledger.engine import Engine

NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,124}\.db")


@dataclass(frozen=True, slots=True)
class Backup:
    """A consistent copy of the ledger. ``bytes`` is its size."""

    path: str
    bytes: int


def write(engine: Engine, name: str | None) -> Backup:
    """Write a consistent copy of the ledger into ``DATA/backups``, from any thread.

    Raises:
        LimitExceeded: ``name`` is not a plain file name.
        QueueConflict: there is a backup of this name.
        Forbidden: the ledger is in memory.
    """
    if engine.folder is None:
        raise Forbidden(f"the ledger is in memory ({MEMORY}): there is nothing to back up")
    name = name or datetime.now(UTC).strftime("dibs-%Y%m%dT%H%M%S.%fZ.db")
    if not NAME.fullmatch(name):
        raise LimitExceeded(
            "a backup's name is up to 128 letters, digits, . _ - and ends in .db", field="name", limit="*.db"
        )
    path = engine.folder / "backups" / name
    if path.exists():
        raise QueueConflict(f"there is a backup {name} already", reason="backup-exists", field="name")
    return Backup(str(path.absolute()), engine.backup(str(path)))
