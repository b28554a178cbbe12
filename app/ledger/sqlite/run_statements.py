"""The SQL of what is inside queues, each statement with the sentence that it keeps true."""

from .. import work

# -- what is dead: one truth for reads and for claims (``runs.spent``), whether it is written down or not

_ATTEMPTS = f"""(
SELECT CASE json_type(settings, '$.max_attempts') WHEN 'integer' THEN json_extract(settings, '$.max_attempts')
    WHEN 'null' THEN 9223372036854775807 ELSE {work.DEFAULT_SETTINGS.max_attempts} END
FROM queue WHERE id = :queue)"""

# A lease of one item that has expired has used an attempt; it may have been the last.
_LAPSED = "(token IS NOT NULL AND due <= :now AND most <= 1)"
_SPENT = f"({_LAPSED} AND attempt >= {_ATTEMPTS})"

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
INSERT = "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# A run's own row: what may change while its first seq stays.
CHANGE = """
UPDATE run SET last = ?, state = ?, due = ?, ttl = ?, attempt = ?, token = ?, worker = ?, history = ?,
    most = ?
WHERE queue = ? AND first = ?
"""
REMOVE = "DELETE FROM run WHERE queue = ? AND first = ?"

# What is not dead, in the order of claims, from the level below a priority on. The reader stops at the first
# run of a level that is not due, and asks again from the next level: one pass over all levels would read
# every delayed run.
CLAIMABLE = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_claim WHERE queue = ? AND state < 2 AND priority > ?
ORDER BY priority, due, first
"""

# A token is live while its run is not due.
HELD = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
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

# What is dead, and not written down yet; the index alone tells.
SPENT = f"""
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_lease WHERE queue = :queue AND {_SPENT} LIMIT :limit
"""

# Of an answer of many that has expired: what is left of it, in the order of claims.
CROWD = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_lease WHERE queue = ? AND token = ? AND due <= ? ORDER BY priority, due, first
"""

# Of some seqs what is dead, and whatever there is; from the run on that may have the first of them.
DEAD = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_dead
WHERE queue = ?1 AND state = 2 AND first <= ?3 AND last >= ?2 AND first >= ifnull(
    (SELECT max(first) FROM run INDEXED BY run_dead WHERE queue = ?1 AND state = 2 AND first <= ?2), ?2)
ORDER BY first LIMIT ?4
"""
WITHIN = """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run WHERE queue = ?1 AND first <= ?3 AND last >= ?2
    AND first >= ifnull((SELECT max(first) FROM run WHERE queue = ?1 AND first <= ?2), ?2)
ORDER BY first LIMIT ?4
"""

# What is left inside a queue that was deleted: nobody sees it, and it is swept in slices. In what order does
# not matter.
SWEEP_SOME = (
    "DELETE FROM run WHERE queue = ?1 AND first IN (SELECT first FROM run WHERE queue = ?1 LIMIT ?2)",
    "DELETE FROM block WHERE id IN (SELECT id FROM block WHERE queue = ?1 LIMIT ?2)",
    "DELETE FROM failure WHERE id IN (SELECT id FROM failure WHERE queue = ?1 LIMIT ?2)",
    "DELETE FROM item_key WHERE id IN (SELECT id FROM item_key WHERE queue = ?1 LIMIT ?2)",
)
UNSWEPT = """
SELECT id FROM queue WHERE deleted_at IS NOT NULL AND (
    EXISTS (SELECT 1 FROM run WHERE run.queue = queue.id)
    OR EXISTS (SELECT 1 FROM block WHERE block.queue = queue.id)
    OR EXISTS (SELECT 1 FROM failure WHERE failure.queue = queue.id)
    OR EXISTS (SELECT 1 FROM item_key WHERE item_key.queue = queue.id))
"""
EMPTY = (
    "DELETE FROM run WHERE queue = ?",
    "DELETE FROM block WHERE queue = ?",
    "DELETE FROM failure WHERE queue = ?",
    "DELETE FROM item_key WHERE queue = ?",
)

# An outage ends no lease early: what was live when the ledger was last heard of begins its time again.
REVIVE = "UPDATE run SET due = max(due, ? + ttl) WHERE token IS NOT NULL AND due > ?"

# When ledger time need not be persisted any more for the sake of leases; and whether one is left that a start
# would take for live.
LEASED_UNTIL = "SELECT ifnull(max(due), 0) FROM run WHERE token IS NOT NULL"
OUTLIVES = "SELECT EXISTS (SELECT 1 FROM run INDEXED BY run_lease WHERE token IS NOT NULL AND due > ?)"

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

# What waits is what is inside, but for what is dead, or leased: so only those are summed.
GLANCE = f"""
SELECT cursor - taken - acked - purged - jumped, leased, dead + spent
FROM queue, (
    SELECT ifnull(sum(last - first + 1) FILTER (WHERE due > :now), 0) AS leased,
        ifnull(sum(last - first + 1) FILTER (WHERE {_SPENT}), 0) AS spent
    FROM run INDEXED BY run_lease WHERE queue = :queue AND token IS NOT NULL)
WHERE id = :queue AND deleted_at IS NULL
"""
LEASED_OR_SPENT = f"""
SELECT ifnull(sum(last - first + 1), 0) FROM run INDEXED BY run_lease
WHERE queue = :queue AND token IS NOT NULL AND (due > :now OR {_SPENT})
"""

# The earliest of each level, by one probe a level.
NEXT_DUE = """
WITH level (priority) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))
SELECT min((SELECT due FROM run INDEXED BY run_claim
            WHERE queue = :queue AND state < 2 AND run.priority = level.priority ORDER BY due LIMIT 1))
FROM level WHERE EXISTS (SELECT 1 FROM queue WHERE id = :queue AND deleted_at IS NULL)
"""

COUNTS = f"""
SELECT cursor, taken, acked, purged, jumped, waiting, delayed, leased, inside.dead, oldest, overlaps
FROM queue, (
    SELECT ifnull(sum(size) FILTER (WHERE state = 0), 0) AS waiting,
        ifnull(sum(size) FILTER (WHERE state = 0 AND due > :now), 0) AS delayed,
        ifnull(sum(size) FILTER (WHERE state = 1), 0) AS leased,
        ifnull(sum(size) FILTER (WHERE state = 2), 0) AS dead,
        min(due) FILTER (WHERE state = 0 AND due <= :now) AS oldest,
        ifnull(sum(first <= reach), 0) AS overlaps
    FROM (SELECT CASE WHEN {_SPENT} THEN 2 WHEN state = 1 AND due <= :now THEN 0 ELSE state END AS state,
            due, first, last - first + 1 AS size, max(last) OVER
            (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
          FROM run WHERE queue = (SELECT id FROM queue WHERE id = :queue AND deleted_at IS NULL))) AS inside
WHERE id = :queue
"""

# Runs from the one on that may have the seq after ``after``, of one state or of all.
ITEMS = {
    None: """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most FROM run
WHERE queue = :queue AND last > :after
    AND first >= ifnull((SELECT max(first) FROM run WHERE queue = :queue AND first <= :after), 0)
ORDER BY first
""",
    "waiting": f"""
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most FROM run
WHERE queue = :queue AND last > :after
    AND (state = 0 OR (state = 1 AND due <= :now AND NOT {_SPENT}))
    AND first >= ifnull((SELECT max(first) FROM run WHERE queue = :queue AND first <= :after), 0)
ORDER BY first
""",
    "leased": """
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_lease
WHERE queue = :queue AND token IS NOT NULL AND due > :now AND last > :after ORDER BY first
""",
    "dead": f"""
SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_dead
WHERE queue = :queue AND state = 2 AND last > :after AND first >= ifnull((
    SELECT max(first) FROM run INDEXED BY run_dead
    WHERE queue = :queue AND state = 2 AND first <= :after), 0)
UNION ALL SELECT first, last, state, due, ttl, attempt, token, worker, priority, history, kept, most
FROM run INDEXED BY run_lease WHERE queue = :queue AND last > :after AND {_SPENT}
ORDER BY first
""",
}

SETTINGS = "SELECT settings FROM queue WHERE id = ? AND deleted_at IS NULL"

# An attempt whose lease has expired has failed, whether a claim has found that or not.
FAILURES = f"""
SELECT attempt, at, worker, error FROM (
    SELECT attempt, at, worker, error, id FROM failure WHERE queue = :queue AND seq = :seq
        AND EXISTS (SELECT 1 FROM queue WHERE queue.id = :queue AND deleted_at IS NULL)
    UNION ALL SELECT attempt, due, worker, :expired, 9223372036854775807 FROM run
    WHERE queue = :queue AND first <= :seq AND last >= :seq AND {_LAPSED}
    ORDER BY id DESC LIMIT :most)
ORDER BY id
"""
