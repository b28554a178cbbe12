-- The schema of version 1, as it was released: a file that an older dibs has left.

-- One row: which ledger this is, and ledger time, which never goes back over a restart.
CREATE TABLE ledger (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    instance TEXT    NOT NULL,
    clock    INTEGER NOT NULL
) STRICT;

-- A queue is one row, however many items it has handed out. A deleted one is its own tombstone.
CREATE TABLE queue (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL UNIQUE,
    generation      INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),
    source          TEXT    NOT NULL,
    args            TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    deleted_at      INTEGER,
    paused          INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    ending          TEXT    CHECK (ending IN ('exhausted', 'failed', 'closed')),
    failure_type    TEXT,
    failure_message TEXT,
    mark            TEXT,
    cursor          INTEGER NOT NULL DEFAULT 0 CHECK (cursor >= 0),
    taken           INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),
    jumped          INTEGER NOT NULL DEFAULT 0 CHECK (jumped >= 0),
    CHECK (taken + jumped <= cursor),
    CHECK ((ending IS 'failed') = (failure_type IS NOT NULL))
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
