"""The connection that only reads: look-ups of the owner's transactions, or looks of anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..ops import EngineFailed
from .pipeline import Broken, Failed, Pipeline, Statement

if TYPE_CHECKING:
    import psycopg

_OF_THE_SERVER: Final = ("08", "53", "55", "57", "58")
"""Classes of SQLSTATEs for which the statement is not at fault: the server can't, or not now."""


class Reader:
    """One connection, made when it is needed and anew after it broke. For any thread, one at a time."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._pipeline: Pipeline | None = None

    def rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows; bytea as bytes.

        Raises:
            EngineFailed: the database can't be read.
        """
        import psycopg

        with self._lock:
            try:
                with self._connected().cursor(binary=True) as cursor:
                    return cursor.execute(statement, values or None).fetchall()
            except psycopg.OperationalError as error:
                raise _unread(error) from error

    def raw(self, statement: Statement) -> list[list[bytes | None]]:
        """All rows, each value in its binary format: for what is asked often, at a fifth of the costs.

        Raises:
            EngineFailed: the database can't be read.
        """
        with self._lock:
            connection = self._connected()
            if self._pipeline is None:
                self._pipeline = Pipeline(connection)
            try:
                return self._pipeline.read(statement)
            except Broken as error:
                connection.close()
                raise _unread(error) from error
            except Failed as failed:
                if not failed.state.startswith(_OF_THE_SERVER):
                    raise
                raise _unread(failed) from failed

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection, self._pipeline = self._connect(), None
        return self._connection

    def close(self) -> None:
        """End the connection; whoever reads again begins another."""
        with self._lock:
            connection, self._connection, self._pipeline = self._connection, None, None
        if connection is not None:
            connection.close()


def _unread(error: Exception) -> EngineFailed:
    return EngineFailed(f"PostgreSQL can't be read: {error}")
