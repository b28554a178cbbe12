"""The inbox's tables and functions (``inbox.sql``): made, and made anew where an older release made them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

ROLE: Final = "dibs_push"

_EDITION: Final = r"\(Edition (\d+)\)"
_MADE_BY: Final = f"""
SELECT coalesce(substring(obj_description(to_regprocedure('push(text,jsonb,text,interval,int)'), 'pg_proc')
                          FROM '{_EDITION}')::int, 1),
       EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass('inbox') AND contype = 'c')
"""


def install(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """Create what the inbox needs in the ledger's schema, in the transaction that is open.

    Returns what somebody else has to do where the role ``dibs_push`` is not there and may not be created.
    """
    name = '"' + schema.replace('"', '""') + '"'
    connection.execute(_sql().replace(':"schema"', name).encode())
    found = connection.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (ROLE,)).fetchone()
    if found is not None:
        return None
    return (
        f"there is no role {ROLE}, and this role may not create it."
        f" Who may has to run: CREATE ROLE {ROLE} NOLOGIN;"
        f" GRANT USAGE ON SCHEMA {name} TO {ROLE}; GRANT EXECUTE ON FUNCTION {name}.push TO {ROLE};"
        " until then nobody but the ledger's own role can push by SQL"
    )


def is_older(connection: psycopg.Connection[Any]) -> bool:
    """Whether an older release has made the inbox. Servers of it work with what a newer one makes of that."""
    [(edition, checked)] = connection.execute(_MADE_BY)
    return bool(checked or edition < int(re.findall(_EDITION, _sql())[-1]))


def _sql() -> str:
    return Path(__file__).with_name("inbox.sql").read_text("utf-8")
