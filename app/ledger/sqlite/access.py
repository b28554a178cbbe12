"""Access tokens in SQLite."""

from __future__ import annotations

import apsw

from ..access import AccessToken
from .collected import Collected, write

_COLUMNS = "id, name, digest, grants, maker, created, expires, revoked"
ALL = f"SELECT {_COLUMNS} FROM access_token ORDER BY created, id"
FIND = f"SELECT {_COLUMNS} FROM access_token WHERE id = ?"
PUT = f"INSERT OR REPLACE INTO access_token ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PRUNE = "DELETE FROM access_token WHERE min(ifnull(revoked, expires), ifnull(expires, revoked)) < ?"


class AccessTokens:
    """The table of access tokens (see :class:`~..state.store.AccessTokens`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._put = Collected(connection, PUT)
        self._pruned = Collected(connection, PRUNE)
        self.collected = self._pruned, self._put

    def find(self, token: str) -> AccessToken | None:
        """The token with this id."""
        write(self.collected)
        found = self._execute(FIND, (token,)).fetchone()
        return AccessToken(*found) if found else None

    def put(self, token: AccessToken) -> None:
        """Add a row, or change the one with its id."""
        times = token.created, token.expires, token.revoked
        self._put.add((token.id, token.name, token.digest, token.grants, token.maker, *times))

    def prune(self, before: int) -> None:
        """Remove the rows of what was revoked, or has expired, before this instant."""
        self._pruned.add((before,))
