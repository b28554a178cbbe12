"""Where a ledger in PostgreSQL is: what ``--data postgresql://…`` means."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from ...errors import ConfigError
from ..database import SCHEMES, Database

DEFAULT_SCHEMA: Final = "dibs"

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TAKEN: Final = re.compile(r"pg_.*|information_schema|public")
_SHAPE: Final = (
    "data: this can't be read as the URL of a PostgreSQL: it is"
    " postgresql://USER:PASSWORD@HOST:PORT/DATABASE?ledger=NAME, and may have several hosts"
    " (HOST:PORT,HOST:PORT) and parameters of libpq; in a user name or a password, write each of @ / : ? # %"
    " as %40 %2F %3A %3F %23 %25"
)
_NOT_INSTALLED: Final = (
    "data: a ledger in PostgreSQL needs psycopg, which is not here: install dibs with its extra postgres,"
    " in its checkout by pip install '.[postgres]'"
)


class Place(NamedTuple):
    """Where a ledger is.

    ``url`` is for libpq, and may have a password; ``shown`` has none (see ``Database``), and is for people.
    """

    url: str
    schema: str
    shown: str

    @classmethod
    def of(cls, url: str) -> Place:
        """The place that a URL names; ``?ledger=NAME`` is the schema, and ours alone.

        Raises:
            ConfigError: it can't be read, or psycopg is not installed. The message has nothing of the URL,
                in which a password may stand anywhere.
        """
        try:
            from psycopg import ProgrammingError
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise ConfigError(_NOT_INSTALLED) from error
        plain, schema = _without_ledger(url)
        if not url.startswith(SCHEMES):
            raise ConfigError(_SHAPE)
        try:
            parts = conninfo_to_dict(plain)
        except ProgrammingError:
            raise ConfigError(_SHAPE) from None  # libpq's words quote what it could not read
        hosts, ports, database = (str(parts.get(name, "")) for name in ("host", "port", "dbname"))
        # A "/" or "@" of a password that is not encoded ends up here, with the rest of it.
        if "@" in hosts + database or not re.fullmatch(r"[0-9,]*", ports):
            raise ConfigError(_SHAPE)
        return cls(plain, schema, str(Database(url)))


def _without_ledger(url: str) -> tuple[str, str]:
    """The URL without what is ours, and the name of the schema."""
    who = url.partition("://")[2].partition("/")[0].rpartition("@")[0]  # a "?" may be in a password
    begins = url.find("?", url.find(who) + len(who))
    plain, query = (url, "") if begins < 0 else (url[:begins], url[begins + 1 :])
    words = query.split("&") if query else []
    names = [unquote(word.partition("=")[2]) for word in words if word.partition("=")[0] == "ledger"]
    rest = [word for word in words if word.partition("=")[0] != "ledger"]
    schema = names[-1] if names else DEFAULT_SCHEMA
    if not _SCHEMA.fullmatch(schema) or _TAKEN.fullmatch(schema):
        raise ConfigError(
            "data: ledger is the name of a PostgreSQL schema that only dibs uses: 1 to 63 of a-z, 0-9 and _,"
            " no digit first, and neither public, information_schema nor pg_…; for instance"
            " ?ledger=dibs_orders"
        )
    return plain + ("?" + "&".join(rest) if rest else ""), schema
