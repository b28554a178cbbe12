"""Ledgers as older releases have left them: one of each format, with queues, items and filed answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
from dibs.ledger.sqlite.checksum import of_answer, of_block
from dibs.ledger.sqlite.format import APPLICATION_ID

ANSWER = '{"first": 3, "ending": null, "start": 3, "stop": 5, "step": 1, "wide": false}'
FILED = 2, 1, "ann", "k", "take 2", ANSWER, None, 9_750_000_000_000
TEXTS = b'"a"\n"b"\n3\n4'
BLOCK = 1, 5, 1, 4, TEXTS, of_block(5, 1, 4, TEXTS)
FIRST_QUEUES = """
INSERT INTO ledger (one, instance, clock) VALUES (1, 'the instance', 1750000000000);
INSERT INTO queue (id, name, generation, source, args, created_at, deleted_at, paused, ending,
    failure_type, failure_message, mark, cursor, taken, jumped) VALUES
    (1, 'jobs', 2, 'lines', '{"path":"f"}', 5, NULL, 0, 'failed', 'E', 'm', 'mark', 9, 7, 2),
    (2, 'ids', 1, 'count', '{}', 6, NULL, 1, NULL, NULL, NULL, NULL, 4, 4, 0),
    (4, 'gone', 3, 'count', '{}', 7, 8, 0, 'closed', NULL, NULL, NULL, 1, 0, 1);
"""
PUSHED = """
INSERT INTO queue (id, name, source, args, created_at, cursor, acked, dead, settings)
    VALUES (5, 'pushed', '', '{}', 9, 4, 1, 1, '{"max_attempts": 3}');
INSERT INTO item_key VALUES (1, 5, 1, 'k', 2, 9750000000000);
"""
RUNS = """
INSERT INTO run VALUES (5, 2, 2, 0, 1, 0, 1, NULL, 'w', 3, 1, 1, 0),
    (5, 3, 3, 1, 1750000900000, 900000, 2, 'token', 'w', 0, 0, 1, 1),
    (5, 4, 4, 2, 1, 0, 3, NULL, 'w', 0, 0, 1, 0);
INSERT INTO failure VALUES (1, 5, 2, 1, 8, 'w', 'it failed');
"""
COUNTED_APART = """
INSERT INTO ledger VALUES (1, 'the instance', 1750000000000, 0, 9);
INSERT INTO queue (id, root, name, generation, source, args, created_at, deleted_at, paused,
    ending, failure_type, failure_message) VALUES
    (1, 1, 'jobs', 2, 'lines', '{"path":"f"}', 5, NULL, 0, 'failed', 'E', 'm'),
    (2, 2, 'ids', 1, 'count', '{}', 6, NULL, 1, NULL, NULL, NULL),
    (4, 4, 'gone', 3, 'count', '{}', 7, 8, 0, 'closed', NULL, NULL);
INSERT INTO queue (id, root, name, source, args, created_at, settings)
    VALUES (5, 5, 'pushed', '', '{}', 9, '{"max_attempts": 3}');
INSERT INTO counter (queue, cursor, taken, jumped, acked, purged, dead, mark) VALUES
    (1, 9, 7, 2, 0, 0, 0, 'mark'), (2, 4, 4, 0, 0, 0, 0, NULL), (4, 1, 0, 0, 0, 1, 0, NULL),
    (5, 4, 0, 0, 1, 0, 1, NULL);
INSERT INTO item_key VALUES (1, 5, 1, 'k', 2, 9750000000000);
"""
SINCE = """
INSERT INTO run VALUES (5, 2, 2, 0, 1, 0, 1, NULL, 'w', 3, 1, 1, 0, 0),
    (5, 3, 3, 1, 1750000900000, 900000, 2, 'token', 'w', 0, 0, 1, 1, 1750000000001),
    (5, 4, 4, 2, 1, 0, 3, NULL, 'w', 0, 0, 1, 0, 0);
INSERT INTO failure VALUES (1, 5, 2, 1, 8, 'w', 'it failed', 0);
INSERT INTO action VALUES (1, 8, 'bob', 'pushed', 'paused it', 'paused');
"""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOKEN = """
INSERT INTO access_token VALUES ('old', 'bob', zeroblob(32), 'read:*', 'a test', 1, NULL, NULL);
"""


def opened(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path))


def written(
    folder: Path,
    version: int,
    rows: str,
    *,
    answer: tuple[object, ...] = (*FILED, of_answer(*FILED), 0),
    block: tuple[object, ...] | None = BLOCK,
) -> Path:
    """A ledger of this format with these rows, one filed answer and the values of the items inside."""
    folder.mkdir()
    path = folder / "dibs.db"
    with opened(path) as file:
        file.execute(Path(__file__).with_name(f"version_{version}.sql").read_text())
        file.execute(rows)
        for table, row in (("answer", (3, *answer)), ("block", block)):
            if row is not None:
                file.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        file.pragma("application_id", APPLICATION_ID)
        file.pragma("user_version", version)
    file.close()
    return path


def write_version_1(folder: Path) -> Path:
    """Three queues (one fed and ended, one paused, one a tombstone) and an answer, as version 1 had them."""
    return written(folder, 1, FIRST_QUEUES, answer=FILED, block=None)


def write_version_2(folder: Path) -> Path:
    """What version 1 had, a queue with items inside (one has a key), and how far a stream had come."""
    rows = """
        INSERT INTO run VALUES (5, 2, 2, 0, 1, 0, 1, NULL, 'w', 3, 1, 1),
            (5, 3, 3, 1, 1750000900000, 900000, 2, 'token', 'w', 0, 0, 1),
            (5, 4, 4, 2, 1, 0, 3, NULL, 'w', 0, 0, 1);
        INSERT INTO failure VALUES (1, 5, 2, 1, 8, 'w', 'it failed');
        INSERT INTO answer VALUES (4, 5, 1, '', 's', 'stream',
            '{"wide":false,"work":["streamed",4,4,7,4,0,[[1,4]]],"start":0,"stop":0,"step":1}', NULL,
            9750000000000);
        """
    block = *BLOCK[:4], TEXTS.decode()
    return written(folder, 2, FIRST_QUEUES + PUSHED + rows, answer=FILED, block=block)


def write_version_3(folder: Path) -> Path:
    """What version 2 had, with checksums: a queue with items inside, a tombstone that is not swept."""
    rows = """
        UPDATE queue SET jumped = 0, purged = 1 WHERE id = 4;
        INSERT INTO run VALUES (4, 1, 1, 0, 1, 0, 0, NULL, '', 0, 0, 0, 0);
        """
    return written(folder, 3, FIRST_QUEUES + PUSHED + RUNS + rows, answer=(*FILED, of_answer(*FILED)))


def write_version_4(folder: Path) -> Path:
    """What version 3 had, with the counters in a table of their own."""
    return written(folder, 4, COUNTED_APART + RUNS)


def write_version_5(folder: Path) -> Path:
    """What version 4 had, and a token."""
    return written(folder, 5, COUNTED_APART + RUNS + TOKEN)


def write_version_6(folder: Path) -> Path:
    """What version 5 had, and an action."""
    return written(folder, 6, COUNTED_APART + TOKEN + SINCE, block=(*BLOCK, 0))


def write_version_7(folder: Path) -> Path:
    """What version 6 had, and a trace."""
    rows = f"INSERT INTO trace VALUES (5, 1, 2, '{TRACE}')"
    return written(folder, 7, COUNTED_APART + TOKEN + SINCE + rows, block=(*BLOCK, 0))


WRITE: dict[int, Callable[[Path], Path]] = {
    1: write_version_1,
    2: write_version_2,
    3: write_version_3,
    4: write_version_4,
    5: write_version_5,
    6: write_version_6,
    7: write_version_7,
}
