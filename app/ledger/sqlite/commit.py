"""One transaction, and what it means when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from ..ops import CommitFailed, EngineDamaged, EngineFailed, OpFailed
from .damage import is_damage, told
from .faults import OF_THE_DISK
from .guard import Guard


@contextmanager
def transaction(execute: Callable[[str], apsw.Cursor], guard: Guard) -> Iterator[apsw.Connection]:
    """A transaction that is committed and synced at its end, or rolled back.

    Raises:
        EngineDamaged: the storage gave back other bytes than were written.
        CommitFailed: its last step failed; whether it is on disk can't be told yet.
        EngineFailed: the disk failed before; nothing of it is on disk.
        OpFailed: a statement is at fault.
    """
    committing = False
    try:
        connection = execute("BEGIN IMMEDIATE").connection
        try:
            yield connection
            committing = True
            execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except (*OF_THE_DISK, UnicodeDecodeError) as error:
        if is_damage(error) and not committing:
            raise EngineDamaged(str(guard.damaged(told(error)))) from error
        failed = CommitFailed if committing else EngineFailed
        raise failed(str(error), full=isinstance(error, apsw.FullError)) from error
    except apsw.Error as error:
        raise OpFailed(str(error)) from error
