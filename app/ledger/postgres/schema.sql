-- A ledger in PostgreSQL 15 and later, in a schema of its own. What the columns mean stands with the tables of the SQLite
-- store (work.sql, sqlite.sql, access.sql, actions.sql, trace.sql): these are what an owner keeps of its own, row by row.
-- What users write is bytea, since text refuses a NUL. Nothing is searched here but by the keys below.

-- Which ledger this is. The secret is what servers know each other by: who can't read the database can't speak. system_id is
-- the cluster that it was made in, so that a copy beside its original is noticed.
CREATE TABLE ledger (
    one       int2  PRIMARY KEY CHECK (one = 1),
    format    int4  NOT NULL,
    instance  uuid  NOT NULL,
    secret    bytea NOT NULL,
    system_id int8  NOT NULL
);

-- The number of the newest transaction: one row. Stepping it from n to n + 1 is the fence: a transaction of an owner who is no
-- more finds its row gone, and fails as a whole. clock is ledger time.
CREATE TABLE position (
    n     int8        PRIMARY KEY,
    term  int8        NOT NULL,
    clock int8        NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The times of the owners. Of the ones before, all up to the number "after" is on disk, and nothing else.
CREATE TABLE term (
    term    int8        PRIMARY KEY,
    after   int8        NOT NULL,
    server  uuid        NOT NULL,
    address text        NOT NULL,
    session int4        NOT NULL,
    began   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who is there.
CREATE TABLE server (
    id      uuid        PRIMARY KEY,
    address text        NOT NULL,
    version text        NOT NULL,
    note    text        NOT NULL DEFAULT '',
    seen    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE queue (
    id              int8  PRIMARY KEY,
    name            text  NOT NULL,
    root            int8  NOT NULL CHECK (root BETWEEN 1 AND id),
    generation      int8  NOT NULL CHECK (generation >= 1),
    edition         int8  NOT NULL CHECK (edition >= 1),
    source          text  NOT NULL,
    args            text  NOT NULL,
    created_at      int8  NOT NULL,
    deleted_at      int8,
    paused          int2  NOT NULL CHECK (paused IN (0, 1)),
    ending          text  CHECK (ending IN ('exhausted', 'failed', 'closed')),
    failure_type    text,
    failure_message bytea,
    configured      text  NOT NULL CHECK (configured IN ('file', 'http')),
    settings        text  NOT NULL,
    paused_at       int8,
    ended_at        int8,
    CHECK ((ending IS NOT DISTINCT FROM 'failed') = (failure_type IS NOT NULL))
);
CREATE UNIQUE INDEX queue_live ON queue (name) WHERE deleted_at IS NULL;

-- A queue has a row, which is another one after each transaction that moves it.
CREATE TABLE counter (
    queue  int8 NOT NULL,
    base   int8 NOT NULL CHECK (base >= 0),
    cursor int8 NOT NULL,
    taken  int8 NOT NULL CHECK (taken >= 0),
    jumped int8 NOT NULL CHECK (jumped >= 0),
    acked  int8 NOT NULL CHECK (acked >= 0),
    purged int8 NOT NULL CHECK (purged >= 0),
    dead   int8 NOT NULL CHECK (dead >= 0),
    mark   text,
    number int8 NOT NULL CHECK (number >= 0),
    PRIMARY KEY (queue, number),
    CHECK (taken + jumped + acked + purged + dead <= cursor - base)
);

CREATE TABLE run (
    queue    int8  NOT NULL,
    first    int8  NOT NULL CHECK (first >= 1),
    last     int8  NOT NULL CHECK (last >= first),
    state    int2  NOT NULL CHECK (state IN (0, 1, 2)),
    due      int8  NOT NULL,
    ttl      int8  NOT NULL,
    attempt  int8  NOT NULL CHECK (attempt >= 0),
    token    text,
    worker   bytea NOT NULL,
    priority int2  NOT NULL CHECK (priority BETWEEN 0 AND 9),
    history  int2  NOT NULL CHECK (history BETWEEN 0 AND 10),
    kept     int2  NOT NULL CHECK (kept IN (0, 1)),
    most     int8  NOT NULL CHECK (most >= 0),
    began    int8  NOT NULL,
    PRIMARY KEY (queue, first),
    CHECK ((state = 1) = (token IS NOT NULL))
);

CREATE TABLE block (
    queue int8  NOT NULL,
    first int8  NOT NULL,
    last  int8  NOT NULL CHECK (last >= first),
    texts bytea NOT NULL,
    crc   int8  NOT NULL,
    at    int8  NOT NULL,
    PRIMARY KEY (queue, first)
);

CREATE TABLE failure (
    id      int8  PRIMARY KEY,
    queue   int8  NOT NULL,
    seq     int8  NOT NULL,
    attempt int8  NOT NULL,
    at      int8  NOT NULL,
    worker  bytea NOT NULL,
    error   bytea NOT NULL,
    began   int8  NOT NULL
);

CREATE TABLE trace (
    queue  int8 NOT NULL,
    first  int8 NOT NULL,
    last   int8 NOT NULL CHECK (last >= first),
    parent text NOT NULL,
    PRIMARY KEY (queue, first)
);

CREATE TABLE access_token (
    id      text  PRIMARY KEY,
    name    bytea NOT NULL,
    digest  bytea NOT NULL CHECK (length(digest) = 32),
    grants  text  NOT NULL,
    maker   bytea NOT NULL,
    created int8  NOT NULL,
    expires int8,
    revoked int8
);

CREATE TABLE action (
    id    int8  PRIMARY KEY,
    at    int8  NOT NULL,
    who   bytea NOT NULL,
    queue bytea NOT NULL,
    what  bytea NOT NULL,
    brief text  NOT NULL
);

CREATE TABLE item_key (
    queue      int8  NOT NULL,
    generation int8  NOT NULL,
    key        bytea NOT NULL,
    seq        int8  NOT NULL,
    expires    int8  NOT NULL,
    PRIMARY KEY (queue, generation, key)
);
CREATE INDEX item_key_item ON item_key (queue, seq);
CREATE INDEX item_key_expires ON item_key (expires) WHERE expires < 9223372036854775807;

CREATE TABLE answer (
    queue       int8  NOT NULL,
    generation  int8  NOT NULL,
    caller      bytea NOT NULL,
    key         bytea NOT NULL,
    request     text  NOT NULL,
    outcome     bytea NOT NULL,
    item_values bytea,
    expires     int8  NOT NULL,
    crc         int8  NOT NULL,
    n           int8  NOT NULL CHECK (n >= 0),
    PRIMARY KEY (queue, generation, caller, key, n)
);
CREATE INDEX answer_expires ON answer (expires) WHERE expires < 9223372036854775807;

CREATE TABLE history (
    id         int8  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name       text  NOT NULL,
    generation int8  NOT NULL,
    first      int8  NOT NULL CHECK (first >= 1),
    last       int8  NOT NULL CHECK (last >= first),
    verb       text  NOT NULL CHECK (verb IN ('taken', 'acked')),
    at         int8  NOT NULL,
    caller     bytea NOT NULL,
    key        bytea,
    worker     bytea NOT NULL,
    expires    int8  NOT NULL
);
CREATE INDEX history_name ON history (name, id);
CREATE INDEX history_item ON history (name, generation, first);
CREATE INDEX history_expires ON history (expires) WHERE expires < 9223372036854775807;

-- For people with psql: each queue as it is now.
CREATE VIEW queue_now AS
SELECT q.name, q.generation,
    CASE WHEN q.ending IS NOT NULL THEN q.ending WHEN q.paused = 1 THEN 'paused' ELSE 'open' END AS state,
    c.cursor, c.taken, c.acked, c.purged, c.jumped, c.dead,
    c.cursor - c.base - c.taken - c.acked - c.purged - c.jumped AS inside,
    CASE WHEN position('\x00'::bytea IN q.failure_message) > 0 THEN encode(q.failure_message, 'escape')
        ELSE convert_from(q.failure_message, 'UTF8') END AS failure,
    to_timestamp(q.created_at / 1000.0) AS created, c.number AS moved_by
FROM queue AS q
JOIN LATERAL (SELECT * FROM counter WHERE counter.queue = q.id ORDER BY number DESC LIMIT 1) AS c ON true
WHERE q.deleted_at IS NULL;
