-- The ledger itself, the answers and the history; the queues are in work.sql. STRICT tables and CHECKs: a bug in dibs shall fail a transaction, not spoil the record.

-- One row: which ledger this is, ledger time, which never goes back over a restart, whether its pages have
-- checksums, and the number of the last transaction that changed something but moved no counters (see work.sql).
CREATE TABLE ledger (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    instance TEXT    NOT NULL,
    clock    INTEGER NOT NULL,
    sums     INTEGER NOT NULL DEFAULT 0 CHECK (sums IN (0, 1)),
    number   INTEGER NOT NULL DEFAULT 0 CHECK (number >= 0)
) STRICT;

-- The answer that a request with an idempotency key got. Each queue keeps its answers for a time of its own
-- (expires is 2^63-1: for ever), so they are pruned by an index on their expiry. queue is the root of the queue
-- (see work.sql). n is the number of the request in a session that counts its requests, whose answers take the
-- place of the one before; else 0. crc is the checksum of all other columns (checksum.py).
CREATE TABLE answer (
    id         INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL REFERENCES queue (id),
    generation INTEGER NOT NULL,
    caller     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    request    TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    item_values TEXT,
    expires    INTEGER NOT NULL,
    crc        INTEGER NOT NULL,
    n          INTEGER NOT NULL DEFAULT 0 CHECK (n >= 0)
) STRICT;

-- A key means one request, for each caller, queue and generation.
CREATE UNIQUE INDEX answer_key ON answer (key, queue, generation, caller);

CREATE INDEX answer_expires ON answer (expires) WHERE expires < 9223372036854775807;

-- Which items of a queue were taken or acked, by whom, under which key: a row for each range of an answer.
-- It belongs to the queue's name and generation, so that it outlives the queue and its items until expires.
CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    first      INTEGER NOT NULL CHECK (first >= 1),
    last       INTEGER NOT NULL CHECK (last >= first),
    verb       TEXT    NOT NULL CHECK (verb IN ('taken', 'acked')),
    at         INTEGER NOT NULL,
    caller     TEXT    NOT NULL,
    key        TEXT,
    worker     TEXT    NOT NULL,
    expires    INTEGER NOT NULL
) STRICT;

CREATE INDEX history_name ON history (name);
CREATE INDEX history_item ON history (name, generation, first);
CREATE INDEX history_expires ON history (expires) WHERE expires < 9223372036854775807;
