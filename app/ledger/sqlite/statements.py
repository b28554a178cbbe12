"""The SQL of the SQLite engine, each statement with the sentence that it keeps true."""

COLUMNS = (
    "id, name, generation, source, args, created_at, deleted_at, paused, ending,"
    " failure_type, failure_message, mark, cursor, taken, jumped, acked, purged, configured, settings"
)

# A source ends once, at the cursor, and stays ended.
END = """
UPDATE queue SET ending = :ending, failure_type = :type, failure_message = :message
WHERE id = :queue AND cursor = :cursor AND deleted_at IS NULL AND (ending IS NULL OR ending = :ending)
RETURNING id
"""

PAUSE = f"UPDATE queue SET paused = :paused WHERE id = :queue AND deleted_at IS NULL RETURNING {COLUMNS}"

# Closed is the last word: it stands over a failure and over an exhaustion.
CLOSE = f"""
UPDATE queue SET ending = 'closed', failure_type = NULL, failure_message = NULL
WHERE id = :queue AND deleted_at IS NULL RETURNING {COLUMNS}
"""

# A source that can't be opened has failed, whatever it was before; closed stays the last word.
FAIL = f"""
UPDATE queue SET ending = 'failed', failure_type = :type, failure_message = :message
WHERE id = :queue AND deleted_at IS NULL AND ending IS NOT 'closed' RETURNING {COLUMNS}
"""

# Only a failure can be lifted.
RETRY = f"""
UPDATE queue SET ending = NULL, failure_type = NULL, failure_message = NULL
WHERE id = :queue AND deleted_at IS NULL AND ending = 'failed' RETURNING {COLUMNS}
"""

# A jump is counted by its own length, from where the caller saw the cursor.
ADVANCE = f"""
UPDATE queue SET cursor = :to_seq, jumped = jumped + (:to_seq - :cursor), mark = :mark
WHERE id = :queue AND cursor = :cursor AND :to_seq > :cursor AND deleted_at IS NULL AND ending IS NULL
RETURNING {COLUMNS}
"""

# A tombstone is the row itself: name, cursor and generation stay. What was inside is counted as purged.
DELETE = f"""
UPDATE queue SET deleted_at = :now, purged = purged + :purged, dead = 0
WHERE id = :queue AND deleted_at IS NULL RETURNING {COLUMNS}
"""

CREATE = f"""
INSERT INTO queue (name, source, args, created_at, configured, settings)
VALUES (:name, :source, :args, :now, :configured, :settings)
RETURNING {COLUMNS}
"""

# Where nothing was handed out yet, a definition may change, and is as new.
REDEFINE = f"""
UPDATE queue SET source = :source, args = :args, ending = NULL, failure_type = NULL, failure_message = NULL,
    mark = NULL, configured = :configured, settings = :settings
WHERE id = :id AND cursor = 0 AND deleted_at IS NULL RETURNING {COLUMNS}
"""

# Settings may change at any time; the same source goes on.
SETTINGS = f"""
UPDATE queue SET configured = :configured, settings = :settings
WHERE id = :id AND source = :source AND args = :args AND deleted_at IS NULL RETURNING {COLUMNS}
"""

# A tombstone that wakes goes on after its cursor; its mark counts only for the same source.
WAKE = f"""
UPDATE queue SET mark = CASE WHEN source = :source AND args = :args THEN mark END,
    source = :source, args = :args, created_at = :now, deleted_at = NULL, paused = 0, ending = NULL,
    failure_type = NULL, failure_message = NULL, configured = :configured, settings = :settings
WHERE id = :id AND deleted_at IS NOT NULL RETURNING {COLUMNS}
"""

# A reset begins a new generation at 0: keys and tokens of the old one mean nothing to it.
RESET = f"""
UPDATE queue SET generation = generation + 1, source = :source, args = :args, created_at = :now,
    deleted_at = NULL, paused = 0, ending = NULL, failure_type = NULL, failure_message = NULL, mark = NULL,
    cursor = 0, taken = 0, jumped = 0, acked = 0, purged = 0, dead = 0, configured = :configured,
    settings = :settings
WHERE id = :id RETURNING {COLUMNS}
"""

BY_NAME = f"SELECT {COLUMNS} FROM queue WHERE name = :name"
BY_ID = f"SELECT {COLUMNS} FROM queue WHERE id = :id"
ALL = f"SELECT {COLUMNS} FROM queue ORDER BY name"

# A key is filed once; only an expired one makes room, and a stream files each part in place of the one
# before. Row count 0 is a second filing and fails the transaction.
REMEMBER = """
INSERT INTO answer (queue, generation, caller, key, request, outcome, item_values, expires, crc)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?11)
ON CONFLICT (key, queue, generation, caller) DO UPDATE SET
    request = excluded.request, outcome = excluded.outcome, item_values = excluded.item_values,
    expires = excluded.expires, crc = excluded.crc
WHERE answer.expires <= ?9 OR ?10
"""
RECALL = """
SELECT queue, generation, caller, key, request, outcome, item_values, expires, crc FROM answer
WHERE key = :key AND queue = :queue AND generation = :generation AND caller = :caller
"""
# Of many keys at once: a statement for each costs twice as much.
KNOWN = """
SELECT answer.key FROM json_each(:keys) AS asked CROSS JOIN answer
ON answer.key = asked.value AND queue = :queue AND generation = :generation AND caller = :caller
WHERE expires > :now
"""

# The streams whose keys begin alike, by key: a range of the index, read to where it has enough.
STREAMS = """
SELECT queue, generation, caller, key, request, outcome, item_values, expires, crc FROM answer
WHERE key >= :prefix AND key > :after AND substr(key, 1, length(:prefix)) = :prefix AND key < :beyond
    AND queue = :queue AND generation = :generation AND caller = :caller AND request = 'stream'
    AND expires > :now
ORDER BY key LIMIT :most
"""

# Whatever has expired is found by its expiry, in whatever order it was filed.
PRUNE = """
DELETE FROM answer WHERE id IN (SELECT id FROM answer INDEXED BY answer_expires
    WHERE expires <= :now AND expires < 9223372036854775807 ORDER BY expires LIMIT :most)
"""

# A queue that is deleted has no streams any more: the same file can be pushed again.
FORGET_STREAMS = "DELETE FROM answer INDEXED BY answer_stream WHERE queue = ? AND request = 'stream'"

CLOCK = "UPDATE ledger SET clock = :now WHERE one = 1"
"""Persist ledger time."""
