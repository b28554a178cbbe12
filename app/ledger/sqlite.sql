-- The ledger itself, as version 1 had it; the queues are in work.sql. STRICT tables and CHECKs: a bug in dibs shall fail a transaction, not spoil the record.

-- One row: which ledger this is, and ledger time, which never goes back over a restart.
CREATE TABLE ledger (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    instance TEXT    NOT NULL,
    clock    INTEGER NOT NULL
) STRICT;

-- The answer that a request with an idempotency key got. Rows are added and pruned in the order of time,
-- so the rowid finds the oldest and no index on expires is needed.
CREATE TABLE answer (
    id         INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL REFERENCES queue (id),
    generation INTEGER NOT NULL,
    caller     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    request    TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    item_values TEXT,
    expires    INTEGER NOT NULL
) STRICT;

-- A key means one request, for each caller, queue and generation.
CREATE UNIQUE INDEX answer_key ON answer (key, queue, generation, caller);
