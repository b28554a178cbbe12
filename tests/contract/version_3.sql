-- The schema of version 3, as it was released: a file that an older dibs has left.

CREATE TABLE ledger (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    instance TEXT    NOT NULL,
    clock    INTEGER NOT NULL,
    sums     INTEGER NOT NULL DEFAULT 0 CHECK (sums IN (0, 1))
) STRICT;

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
    crc        INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX answer_key ON answer (key, queue, generation, caller);

CREATE INDEX answer_expires ON answer (expires) WHERE expires < 9223372036854775807;

CREATE INDEX answer_stream ON answer (queue) WHERE request = 'stream';

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
    acked           INTEGER NOT NULL DEFAULT 0 CHECK (acked >= 0),
    purged          INTEGER NOT NULL DEFAULT 0 CHECK (purged >= 0),
    dead            INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
    configured      TEXT    NOT NULL DEFAULT 'http' CHECK (configured IN ('file', 'http')),
    settings        TEXT    NOT NULL DEFAULT '{}',
    CHECK (taken + jumped + acked + purged + dead <= cursor),
    CHECK ((ending IS 'failed') = (failure_type IS NOT NULL))
) STRICT;

CREATE TABLE run (
    queue    INTEGER NOT NULL REFERENCES queue (id),
    first    INTEGER NOT NULL CHECK (first >= 1),
    last     INTEGER NOT NULL,
    state    INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    due      INTEGER NOT NULL,
    ttl      INTEGER NOT NULL,
    attempt  INTEGER NOT NULL CHECK (attempt >= 0),
    token    TEXT,
    worker   TEXT    NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    history  INTEGER NOT NULL CHECK (history BETWEEN 0 AND 10),
    kept     INTEGER NOT NULL CHECK (kept IN (0, 1)),
    most     INTEGER NOT NULL DEFAULT 0 CHECK (most >= 0),
    PRIMARY KEY (queue, first),
    CHECK (last >= first),
    CHECK ((state = 1) = (token IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX run_claim ON run (queue, priority, due, first, state) WHERE state < 2;

CREATE INDEX run_lease ON run (queue, token, due, last, attempt, most) WHERE token IS NOT NULL;

CREATE INDEX run_dead ON run (queue, first, last) WHERE state = 2;

CREATE TABLE block (
    id    INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL REFERENCES queue (id),
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL CHECK (last >= first),
    texts BLOB    NOT NULL,
    crc   INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX block_place ON block (queue, first);

CREATE TABLE failure (
    id      INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL REFERENCES queue (id),
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    worker  TEXT    NOT NULL,
    error   TEXT    NOT NULL
) STRICT;

CREATE INDEX failure_item ON failure (queue, seq, id);

CREATE TABLE item_key (
    id         INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL REFERENCES queue (id),
    generation INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    expires    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX item_key_key ON item_key (key, queue, generation);

CREATE INDEX item_key_expires ON item_key (expires) WHERE expires < 9223372036854775807;
CREATE INDEX item_key_item ON item_key (queue, seq);
