"""A ledger is made in a file from rows that come from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw

from . import sums
from .disk import sync
from .folder import make_file
from .format import APPLICATION_ID, VERSION
from .migration import create

Writer = apsw.Connection


def build(
    file: Path,
    ledger: tuple[str, int, int],
    fill: Callable[[Writer], None],
    mark: Callable[[Writer], None],
) -> None:
    """Make a ledger in a file that is not there, by one transaction, and sync it.

    ``ledger``: which one it is, its time, and the number of its last transaction. ``fill`` puts the rows in,
    ``mark`` the mark of what is no ledger in use.
    """
    has_sums = sums.available()  # before the file is opened, so that its sums are kept
    make_file(file)
    with closing(apsw.Connection(str(file), statementcachesize=100)) as writer:
        if has_sums:
            sums.begin(writer)
            writer.execute("DROP TABLE begun")
        writer.pragma("synchronous", "OFF")
        with writer:
            create(writer)
            writer.execute(
                "INSERT INTO ledger (one, instance, clock, number, sums) VALUES (1, ?, ?, ?, ?)",
                (*ledger, has_sums),
            )
            fill(writer)
            writer.pragma("application_id", APPLICATION_ID)
            writer.pragma("user_version", VERSION)
            mark(writer)
    sync(file)
