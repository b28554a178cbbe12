"""One transaction, and what it means when it fails."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import apsw

from ..ops import CommitFailed, EngineDamaged, EngineFailed, OpFailed
from .damage import is_damage, told
from .faults import OF_THE_DISK
from .guard import Guard


class Committing:
    """Transactions of one connection, one at a time: each is committed and synced at its end, or rolled back.

    Raises at the end:
        EngineDamaged: the storage gave back other bytes than were written.
        CommitFailed: its last step failed; whether it is on disk can't be told yet.
        EngineFailed: the disk failed before; nothing of it is on disk.
        OpFailed: a statement is at fault.
    """

    __slots__ = ("_execute", "_guard", "_writer")

    def __init__(self, writer: apsw.Connection, execute: Callable[[str], apsw.Cursor], guard: Guard) -> None:
        self._writer = writer
        self._execute = execute
        self._guard = guard

    def __enter__(self) -> apsw.Connection:
        """Begin; the connection that writes."""
        try:
            self._execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise self._meaning(error, committing=False) from error
        return self._writer

    def __exit__(self, _: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Commit or, after an error, roll back and say what it means."""
        committing = error is None
        if committing:
            try:
                self._execute("COMMIT")
            except BaseException as failed:
                error = failed
            else:
                return
        try:
            if self._writer.in_transaction:
                self._execute("ROLLBACK")
        except apsw.Error as failed:
            error = failed
        if isinstance(error, apsw.Error | UnicodeDecodeError):
            raise self._meaning(error, committing=committing) from error
        if committing and error is not None:
            raise error

    def _meaning(self, error: apsw.Error | UnicodeDecodeError, *, committing: bool) -> Exception:
        if not isinstance(error, (*OF_THE_DISK, UnicodeDecodeError)):
            return OpFailed(str(error))
        if is_damage(error) and not committing:
            return EngineDamaged(str(self._guard.damaged(told(error))))
        failed = CommitFailed if committing else EngineFailed
        return failed(str(error), full=isinstance(error, apsw.FullError))
