"""The SQL of what is inside queues, each statement with the sentence that it keeps true."""

# -- the queue's own row

ACCOUNT = """
SELECT id, name, generation, source, args, deleted_at IS NOT NULL, paused, ending, mark, cursor,
    cursor - taken - acked - purged - jumped, dead, settings
FROM queue WHERE id = ?
"""
NAMED = "SELECT id FROM queue WHERE name = ? AND deleted_at IS NULL"

# The cursor moves only from where the transaction found it, and each counter by what its own ops did. Row
# count 0 is a broken order and fails the transaction.
MOVE = """
UPDATE queue SET cursor = ?, taken = taken + ?, acked = acked + ?, purged = purged + ?,
    dead = dead + ?, mark = ?
WHERE id = ? AND cursor = ?
"""

# -- runs

# Columns as in ``runs.Run``, after the queue.
INSERT = "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# A run's own row: what may change while its first seq stays.
CHANGE = """
UPDATE run SET last = ?, state = ?, due = ?, ttl = ?, attempt = ?, token = ?, worker = ?, history = ?
WHERE queue = ? AND first = ?
"""
REMOVE = "DELETE FROM run WHERE queue = ? AND first = ?"

# What is not dead, in the order of claims, from the level below a priority on. The reader stops at the first
# run of a level that is not due, and asks again from the next level: one pass over all levels would read
# every delayed run.
CLAIMABLE = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept
FROM run INDEXED BY run_claim WHERE queue = ? AND state < 2 AND priority > ?
ORDER BY priority, due, first
"""

# A token is live while its run is not due.
HELD = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept
FROM run INDEXED BY run_lease WHERE queue = ? AND token = ? AND due > ? ORDER BY first
"""
# Of many tokens at once: a statement to find and one to delete, for each, cost a quarter more.
ACK_EACH = """
DELETE FROM run INDEXED BY run_lease
WHERE queue = ?1 AND token IN (SELECT value FROM json_each(?2)) AND due > ?3
RETURNING token, first, last, history, kept, worker
"""
ACK_ALL = """
DELETE FROM run WHERE queue = ? AND token = ? AND due > ? RETURNING first, last, history, kept, worker
"""

# An expired lease whose attempts are used up: found by its due on each level, past those that wait (which the
# index alone tells), so that live leases, however many, cost nothing.
SPENT = """
SELECT run.first, run.last, run.state, run.due, run.ttl, run.attempt, run.token, run.worker, run.priority,
    run.history, run.kept
FROM run AS lapsed INDEXED BY run_claim
    CROSS JOIN run ON run.queue = lapsed.queue AND run.first = lapsed.first
WHERE lapsed.queue = ? AND lapsed.priority IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9) AND lapsed.due <= ?
    AND lapsed.state < 2 AND lapsed.state = 1 AND run.attempt >= ?
LIMIT ?
"""

DEAD = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept
FROM run INDEXED BY run_dead
WHERE queue = ?1 AND state = 2 AND first <= ?3 AND last >= ?2 AND first >= ifnull(
    (SELECT max(first) FROM run INDEXED BY run_dead WHERE queue = ?1 AND state = 2 AND first <= ?2), ?2)
ORDER BY first
"""
REDRIVE_ALL = """
UPDATE run INDEXED BY run_dead SET state = 0, due = ?, attempt = 0
WHERE queue = ? AND state = 2 RETURNING last - first + 1
"""

# An expired lease waits; a live one stays with its holder.
PURGE_WAITING = """
DELETE FROM run WHERE queue = ? AND (state = 0 OR (state = 1 AND due <= ?)) RETURNING first, last
"""
PURGE_DEAD = """
DELETE FROM run INDEXED BY run_dead WHERE queue = ? AND state = 2 RETURNING first, last
"""

INSIDE = "SELECT ifnull(sum(last - first + 1), 0) FROM run WHERE queue = ?"
EMPTY = (
    "DELETE FROM run WHERE queue = ?",
    "DELETE FROM block WHERE queue = ?",
    "DELETE FROM failure WHERE queue = ?",
    "DELETE FROM item_key WHERE queue = ?",
)

# An outage ends no lease early: what was live when the ledger was last heard of begins its time again.
REVIVE = "UPDATE run SET due = max(due, ? + ttl) WHERE token IS NOT NULL AND due > ?"

# -- blocks

BLOCK = "INSERT INTO block (queue, first, last, texts, crc) VALUES (?, ?, ?, ?, ?)"
BLOCKS = """
SELECT first, last, texts, crc FROM block
WHERE queue = ?1 AND first >= ifnull((SELECT max(first) FROM block WHERE queue = ?1 AND first <= ?2), ?2)
ORDER BY first
"""
ONE_BLOCK = f"{BLOCKS} LIMIT 1"
NEXT_BLOCK = """
SELECT first, last, texts, crc FROM block WHERE queue = ? AND first > ? ORDER BY first LIMIT 1
"""

# Of the VFS that keeps checksums of pages (sums.py); where it is not, they do nothing.
PAGE_SUMS_OFF = "PRAGMA checksum_verification = 0"
PAGE_SUMS_ON = "PRAGMA checksum_verification = 1"

# A block is deleted with the last item of it that is inside. Runs don't overlap, so the last one that begins
# in or before the block is the only one to ask.
SWEEP = """
DELETE FROM block
WHERE queue = ?1 AND first <= ?3 AND last >= ?2
    AND first >= ifnull((SELECT max(first) FROM block WHERE queue = ?1 AND first <= ?2), ?2)
    AND ifnull((SELECT run.last FROM run WHERE run.queue = ?1 AND run.first <= block.last
                ORDER BY run.first DESC LIMIT 1), 0) < block.first
"""

# -- failures

FAIL = "INSERT INTO failure (queue, seq, attempt, at, worker, error) VALUES (?, ?, ?, ?, ?, ?)"
FAIL_ALL = """
WITH RECURSIVE item (seq) AS (VALUES (?2) UNION ALL SELECT seq + 1 FROM item WHERE seq < ?3)
INSERT INTO failure (queue, seq, attempt, at, worker, error) SELECT ?1, seq, ?4, ?5, ?6, ?7 FROM item
"""

# Of each item the last ten stay.
TRIM = """
DELETE FROM failure WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY seq ORDER BY id DESC) AS age
        FROM failure WHERE queue = ? AND seq BETWEEN ? AND ?)
    WHERE age > ?)
"""
FORGIVE = "DELETE FROM failure WHERE queue = ? AND seq BETWEEN ? AND ?"

# After a purge: failures of what is inside no more.
FORGIVE_GONE = """
DELETE FROM failure WHERE queue = ?1 AND ifnull((SELECT run.last FROM run
    WHERE run.queue = ?1 AND run.first <= failure.seq ORDER BY run.first DESC LIMIT 1), 0) < seq
"""

# -- keys of items

KNOWN = "SELECT key, seq FROM item_key WHERE key = ? AND queue = ? AND generation = ? AND expires > ?"
LEARN = "INSERT OR REPLACE INTO item_key (queue, generation, key, seq, expires) VALUES (?, ?, ?, ?, ?)"
PRUNE_KEYS = """
DELETE FROM item_key WHERE id IN (SELECT id FROM item_key INDEXED BY item_key_expires
    WHERE expires <= :now AND expires < 9223372036854775807 ORDER BY expires LIMIT :most)
"""
# An item that was purged can be pushed again under its key.
FORGET_KEYS = "DELETE FROM item_key INDEXED BY item_key_item WHERE queue = ? AND seq BETWEEN ? AND ?"
HAS_KEYS = "SELECT EXISTS (SELECT 1 FROM item_key WHERE queue = ?)"

# -- history

RECORD = """
INSERT INTO history (name, generation, first, last, verb, at, caller, key, worker, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PRUNE_HISTORY = """
DELETE FROM history WHERE id IN (SELECT id FROM history INDEXED BY history_expires
    WHERE expires <= :now AND expires < 9223372036854775807 ORDER BY expires LIMIT :most)
"""
HISTORY = """
SELECT id, generation, first, last, verb, at, caller, key, worker FROM history INDEXED BY history_name
WHERE name = :name AND id > :after AND expires > :now ORDER BY id LIMIT :most
"""

# An item is taken or acked once in a generation: the last range that begins at or before it is the only one
# to ask.
HISTORY_OF_ITEM = """
WITH RECURSIVE age (generation) AS (
    SELECT max(generation) FROM queue WHERE name = :name
    UNION ALL SELECT generation - 1 FROM age WHERE generation > 1)
SELECT h.id, h.generation, h.first, h.last, h.verb, h.at, h.caller, h.key, h.worker
FROM age CROSS JOIN history AS h ON h.id = (
    SELECT id FROM history INDEXED BY history_item
    WHERE name = :name AND history.generation = age.generation AND first <= :seq
    ORDER BY first DESC LIMIT 1)
WHERE h.last >= :seq AND h.id > :after AND h.expires > :now ORDER BY h.id LIMIT :most
"""

# -- looking

LEASED = """
SELECT ifnull(sum(last - first + 1), 0) FROM run INDEXED BY run_lease
WHERE queue = ? AND token IS NOT NULL AND due > ?
"""

# What waits is what is inside, but for what is dead, which the row counts, or leased: so only that is summed.
GLANCE = """
SELECT cursor - taken - acked - purged - jumped,
    (SELECT ifnull(sum(last - first + 1), 0) FROM run INDEXED BY run_lease
     WHERE run.queue = queue.id AND token IS NOT NULL AND due > :now),
    dead
FROM queue WHERE id = :queue
"""

# The earliest of each level, by one probe a level.
NEXT_DUE = """
WITH level (priority) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))
SELECT min((SELECT due FROM run INDEXED BY run_claim
            WHERE queue = :queue AND state < 2 AND run.priority = level.priority ORDER BY due LIMIT 1))
FROM level
"""

COUNTS = """
SELECT cursor, taken, acked, purged, jumped, waiting, delayed, leased, inside.dead, oldest, overlaps
FROM queue, (
    SELECT ifnull(sum(size) FILTER (WHERE state = 0 OR (state = 1 AND due <= :now)), 0) AS waiting,
        ifnull(sum(size) FILTER (WHERE state = 0 AND due > :now), 0) AS delayed,
        ifnull(sum(size) FILTER (WHERE state = 1 AND due > :now), 0) AS leased,
        ifnull(sum(size) FILTER (WHERE state = 2), 0) AS dead,
        min(due) FILTER (WHERE state < 2 AND due <= :now) AS oldest,
        ifnull(sum(first <= reach), 0) AS overlaps
    FROM (SELECT state, due, first, last - first + 1 AS size, max(last) OVER
            (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
          FROM run WHERE queue = :queue)) AS inside
WHERE id = :queue
"""

# Runs from the one on that may have the seq after ``after``, of one state or of all.
ITEMS = {
    None: """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept FROM run
WHERE queue = :queue AND last > :after
    AND first >= ifnull((SELECT max(first) FROM run WHERE queue = :queue AND first <= :after), 0)
ORDER BY first
""",
    "waiting": """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept FROM run
WHERE queue = :queue AND last > :after AND (state = 0 OR (state = 1 AND due <= :now))
    AND first >= ifnull((SELECT max(first) FROM run WHERE queue = :queue AND first <= :after), 0)
ORDER BY first
""",
    "leased": """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept
FROM run INDEXED BY run_lease
WHERE queue = :queue AND token IS NOT NULL AND due > :now AND last > :after ORDER BY first
""",
    "dead": """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept
FROM run INDEXED BY run_dead
WHERE queue = :queue AND state = 2 AND last > :after AND first >= ifnull((
    SELECT max(first) FROM run INDEXED BY run_dead
    WHERE queue = :queue AND state = 2 AND first <= :after), 0)
ORDER BY first
""",
}
FAILURES = "SELECT attempt, at, worker, error FROM failure WHERE queue = :queue AND seq = :seq ORDER BY id"
