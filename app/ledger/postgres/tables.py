"""The tables that are kept in PostgreSQL: their columns as in SQLite, and by what a row is found there.

No row of PostgreSQL is changed in place: what changed is deleted by its exact key and inserted anew. So the
key of what changes often has a column that is another one each time (the number of a transaction, of a
request): no look-up walks over dead versions of a row, however old a snapshot is that somebody holds.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["int", "text", "utf8", "bytes"]
"""``utf8`` is a TEXT that users write: bytea in PostgreSQL, whose text refuses a NUL."""


class Table(NamedTuple):
    """A table.

    ``key``: by which columns a row is found in PostgreSQL. ``exact``: all of its rows are in memory, so that
    a row that is not found there is a fault. ``loaded``: an owner reads it whole when it takes over; else its
    rows are looked up when they are asked for. ``copied``: memory has rows of it.
    """

    name: str
    columns: dict[str, Kind]
    key: tuple[str, ...]
    exact: bool = True
    loaded: bool = True
    copied: bool = True


def _columns(**kinds: str) -> dict[str, Kind]:
    """Columns by the words in their order: ``i_1="queue first"``; a number keeps the names apart."""
    names: dict[str, Kind] = {"i": "int", "t": "text", "u": "utf8", "b": "bytes"}
    return {column: names[kind[0]] for kind, columns in kinds.items() for column in columns.split()}


_QUEUE = _columns(
    i_1="id",
    t_1="name",
    i_2="root generation edition",
    t_2="source args",
    i_3="created_at deleted_at paused",
    t_3="ending failure_type",
    u_1="failure_message",
    t_4="configured settings",
    i_4="paused_at ended_at",
    u_2="failure_place",
)
_COUNTER = _columns(i_1="queue base cursor taken jumped acked purged dead", t_1="mark", i_2="number")
_RUN = _columns(
    i_1="queue first last state due ttl attempt",
    t_1="token",
    u_1="worker",
    i_2="priority history kept most began",
)
_BLOCK = _columns(i_1="queue first last", b_1="texts", i_2="crc at", u_1="caller")
_FAILURE = _columns(i_1="id queue seq attempt at", u_1="worker error", i_2="began")
_TRACE = _columns(i_1="queue first last", t_1="parent")
_TOKEN = _columns(
    t_1="id", u_1="name", b_1="digest", t_2="grants", u_2="maker", i_1="created expires revoked"
)
_ACTION = _columns(i_1="id at", u_1="who queue what", t_1="brief")
_ITEM_KEY = _columns(i_1="queue generation", u_1="key", i_2="seq expires")
_ANSWER = _columns(
    i_1="queue generation", u_1="caller key", t_1="request", u_2="outcome item_values", i_2="expires crc n"
)
_HISTORY = _columns(
    t_1="name", i_1="generation first last", t_2="verb", i_2="at", u_1="caller key worker", i_3="expires"
)

TABLES: Final = {
    table.name: table
    for table in (
        Table("queue", _QUEUE, ("id",)),
        Table("counter", _COUNTER, ("queue", "number")),
        Table("run", _RUN, ("queue", "first")),
        Table("block", _BLOCK, ("queue", "first")),
        Table("failure", _FAILURE, ("id",)),
        Table("trace", _TRACE, ("queue", "first")),
        Table("access_token", _TOKEN, ("id",)),
        Table("action", _ACTION, ("id",)),
        Table("item_key", _ITEM_KEY, ("queue", "generation", "key"), exact=False, loaded=False),
        Table(
            "answer",
            _ANSWER,
            ("queue", "generation", "caller", "key", "n"),
            exact=False,
            loaded=False,
            copied=False,
        ),
        Table("history", _HISTORY, (), exact=False, loaded=False, copied=False),
    )
}
"""All tables, by name; what a transaction changed goes out in this order."""
