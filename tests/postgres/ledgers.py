"""Ledgers with all kinds of rows, and all rows of a ledger, wherever it is."""

from __future__ import annotations

import apsw
from dibs.ledger.postgres.copying import WHOLE
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.loading import rows as loaded
from dibs.ledger.sqlite import checksum, sums
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import FOREVER

NUL = "a\0b ü 🎈"
"""Of what users write: a NUL, two and four bytes."""

QUEUES = [
    # id, name, root, generation, edition, source, deleted_at, paused, ending, failure_type, failure_message
    (1, "counts", 1, 1, 1, "count", None, 0, None, None, None),
    (2, "pushed", 2, 1, 3, "", None, 0, None, None, None),
    (3, "paused", 3, 1, 1, "count", None, 1, None, None, None),
    (4, "over", 4, 1, 1, "range", None, 0, "exhausted", None, None),
    (5, "failed", 5, 1, 1, "mod:f", None, 0, "failed", "ValueError", NUL),
    (6, "closed", 6, 1, 1, "", None, 0, "closed", None, None),
    (7, "gone", 7, 1, 1, "", 1_750_000_000_500, 0, None, None, None),
    (8, "again", 8, 1, 1, "", 1_750_000_000_600, 0, None, None, None),
    (9, "again", 8, 2, 1, "count", None, 0, None, None, None),
]
BLOCK = b'"' + b"x" * 700_000 + b'"\n{"a":1}'


def everything(folder) -> None:
    """Make a ledger with rows of all kinds."""
    SqliteEngine(folder).close()
    sums.available()
    writer = apsw.Connection(str(folder / "dibs.db"))
    with writer:
        _queues(writer)
        _inside(writer)
        _filed(writer)
        writer.execute("UPDATE ledger SET clock = 1750000001234, number = 812")
    writer.close()


def _put(writer, table, columns, *rows):
    places = ", ".join("?" * len(columns.split()))
    writer.executemany(f"INSERT INTO {table} ({', '.join(columns.split())}) VALUES ({places})", rows)


def _queues(writer):
    columns = (
        "id name root generation edition source deleted_at paused ending failure_type failure_message"
        " args created_at configured settings paused_at ended_at failure_place"
    )
    rest = ('{"start": 1}', 1_750_000_000_000, "file", '{"max_ready": 5}', None, 1_750_000_000_001, NUL)
    _put(writer, "queue", columns, *[(*queue, *rest) for queue in QUEUES])
    counters = [
        (queue[0], 2, 40, 11, 3, 5, 7, 1, None if n % 2 else "mark", 800 + n)
        for n, queue in enumerate(QUEUES)
    ]
    _put(writer, "counter", "queue base cursor taken jumped acked purged dead mark number", *counters)


def _inside(writer):
    columns = "queue first last state due ttl attempt token worker priority history kept most began"
    _put(
        writer,
        "run",
        columns,
        (2, 20, 29, 0, 0, 0, 0, None, "", 9, 0, 1, 0, 0),
        (2, 30, 30, 1, 2**53, 30_000, 3, "token", NUL, 0, 2, 1, 7, 1_750_000_000_900),
        (2, 31, 2**53 - 1, 2, 0, 0, 10**9, None, NUL, 5, 10, 0, 0, 0),
        (1, 12, 12, 1, 1_750_000_000_950, 1, 1, "other", "w", 0, 0, 0, 1, 1),
    )
    block = (2, 20, 21, BLOCK, checksum.of_block(2, 20, 21, BLOCK), 1_750_000_000_700, NUL)
    _put(writer, "block", "queue first last texts crc at caller", block, (2, 22, 22, b"", 0, 0, ""))
    failures = [(n * 3, 2, 31, n, 1_750_000_000_000 + n, NUL, f"{n}{NUL}", n) for n in range(1, 11)]
    _put(writer, "failure", "id queue seq attempt at worker error began", *failures)
    _put(writer, "trace", "queue first last parent", (2, 20, 21, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"))


def _filed(writer):
    _put(
        writer,
        "answer",
        "queue generation caller key request outcome item_values expires crc n",
        (1, 1, "ann", NUL, "digest", NUL, None, FOREVER, 1, 0),
        (1, 1, "ann", "session", "digest", "{}", "1\n2", 1_750_009_000_000, 2**32 - 1, 41),
        (8, 2, "", "", "", "", "", 0, 0, 0),
    )
    _put(
        writer,
        "item_key",
        "queue generation key seq expires",
        (2, 1, NUL, 20, FOREVER),
        (2, 1, "k", 2**53 - 1, 1_750_009_000_000),
    )
    history = [
        (7, "counts", 1, 3, 12, "taken", 1, NUL, NUL, NUL, FOREVER),
        (9, "gone", 1, 3, 3, "acked", 2, "", None, "", 1_750_009_000_000),
    ]
    _put(writer, "history", "id name generation first last verb at caller key worker expires", *history)
    _put(
        writer,
        "access_token",
        "id name digest grants maker created expires revoked",
        ("0f3a", NUL, bytes(range(32)), "admin:*", NUL, 1, None, None),
        ("0f3b", "b", bytes(32), "read:*", "0f3a", 1, 2, 3),
    )
    _put(
        writer,
        "action",
        "id at who queue what brief",
        (5, 1, NUL, NUL, NUL, "closed"),
        (6, 2, "", "", "", ""),
    )


def many(folder, count) -> None:
    """Make a ledger with so many runs of one item, and as many keys."""
    SqliteEngine(folder).close()
    sums.available()
    writer = apsw.Connection(str(folder / "dibs.db"))
    series = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    with writer:
        _queues(writer)
        writer.execute("UPDATE counter SET cursor = ? WHERE queue = 2", (count + 10**6,))
        writer.execute(
            f"{series} INSERT INTO run SELECT 2, i, i, 0, 0, 0, 0, NULL, '', 0, 0, 1, 0, 0 FROM n", (count,)
        )
    writer.close()


def in_file(file) -> dict[str, list]:
    """All rows of a ledger in a file, by table."""
    sums.available()
    reader = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {
            name: sorted(reader.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}"), key=repr)
            for name, table in WHOLE.items()
        }
    finally:
        reader.close()


def in_database(url) -> dict[str, list]:
    """The same, of one in PostgreSQL."""
    with Ledger(url).connect() as session:
        return {name: sorted(map(tuple, loaded(session, table)), key=repr) for name, table in WHOLE.items()}


def numbered(rows, number=1) -> dict[str, list]:
    """Rows as they are where all counters were moved by one transaction."""
    columns = list(WHOLE["counter"].columns)
    at = columns.index("number")
    counters = [(*row[:at], number, *row[at + 1 :]) for row in rows["counter"]]
    return rows | {"counter": sorted(counters, key=repr)}
