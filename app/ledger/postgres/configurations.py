"""The configurations that servers have brought, as the database keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ..terms import Configuration

if TYPE_CHECKING:
    import psycopg

KEPT: Final = 100
"""Servers whose configurations are kept: those that brought one last. Some have another address each time."""

_ALL: Final = "SELECT address, digest, queues, number FROM configuration"
# Nothing that is handed out depends on it: it waits for no standby, and one of a former owner does no harm.
_LIGHTLY: Final = "SET LOCAL synchronous_commit = local"
_KEEP: Final = """
INSERT INTO configuration (address, digest, queues, number) VALUES (%s, %s, %s, %s)
ON CONFLICT (address) DO UPDATE
SET digest = excluded.digest, queues = excluded.queues, number = excluded.number
"""
_FORGET: Final = """
DELETE FROM configuration WHERE address IN (
    SELECT address FROM configuration ORDER BY number DESC, address OFFSET %s)
"""


def read(session: psycopg.Connection[Any]) -> list[Configuration]:
    """All that are kept."""
    return [
        Configuration(address, digest, tuple(json.loads(queues)), number)
        for address, digest, queues, number in session.execute(_ALL)
    ]


def keep(session: psycopg.Connection[Any], one: Configuration) -> None:
    """Keep one, in the place of what its server had before."""
    with session.transaction():
        session.execute(_LIGHTLY)
        session.execute(_KEEP, (one.address, one.digest, json.dumps(one.queues), one.number))
        session.execute(_FORGET, (KEPT,))
