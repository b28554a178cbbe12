-- Queues and what is inside them.

-- A row for each creation of a queue, however many items it has handed out. The newest row of a name is the queue
-- or, once it is deleted, its tombstone; rows that were replaced are deleted ones, too, and go when they are swept.
-- root: the id of the first row of the name, under which the answers of all of them are filed. edition: what was
-- drawn for an older one is not handed out. configured: by what it was defined last, the configuration file or a
-- request. paused_at, ended_at: since when it is paused, or has ended; null where it is not, or is so from before
-- format 6. failure_place: where in its author's code a source failed; null where it did not, or that is not known.
CREATE TABLE queue (
    id              INTEGER PRIMARY KEY,
    name            TEXT    NOT NULL,
    root            INTEGER NOT NULL CHECK (root BETWEEN 1 AND id),
    generation      INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),
    edition         INTEGER NOT NULL DEFAULT 1 CHECK (edition >= 1),
    source          TEXT    NOT NULL,
    args            TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    deleted_at      INTEGER,
    paused          INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    ending          TEXT    CHECK (ending IN ('exhausted', 'failed', 'closed')),
    failure_type    TEXT,
    failure_message TEXT,
    configured      TEXT    NOT NULL DEFAULT 'http' CHECK (configured IN ('file', 'http')),
    settings        TEXT    NOT NULL DEFAULT '{}',
    paused_at       INTEGER,
    ended_at        INTEGER,
    failure_place   TEXT,
    CHECK ((ending IS 'failed') = (failure_type IS NOT NULL))
) STRICT;

CREATE INDEX queue_name ON queue (name);

-- Of a name one row is not deleted, at most.
CREATE UNIQUE INDEX queue_live ON queue (name) WHERE deleted_at IS NULL;

-- What changes with each hand-out, apart from the rest of a queue's row: so that a commit for many queues writes few
-- pages. base: where the cursor was when the row was created. dead: items inside that are dead, so that nobody has
-- to sum them; each op that buries or lets out counts them. number: that of the last transaction that moved them.
CREATE TABLE counter (
    queue  INTEGER PRIMARY KEY REFERENCES queue (id),
    base   INTEGER NOT NULL DEFAULT 0 CHECK (base >= 0),
    cursor INTEGER NOT NULL DEFAULT 0,
    taken  INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),
    jumped INTEGER NOT NULL DEFAULT 0 CHECK (jumped >= 0),
    acked  INTEGER NOT NULL DEFAULT 0 CHECK (acked >= 0),
    purged INTEGER NOT NULL DEFAULT 0 CHECK (purged >= 0),
    dead   INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
    mark   TEXT,
    number INTEGER NOT NULL DEFAULT 0 CHECK (number >= 0),
    CHECK (taken + jumped + acked + purged + dead <= cursor - base)
) STRICT;

-- Consecutive items of one queue that share a state: 0 they wait, 1 a token has them until due, 2 they are dead.
-- What is done has no row, nor has what was never drawn; so the table is as large as what is inside.
-- history: how many failures an item of it has at most; kept: its values are in blocks; most: how many items the
-- answer had that leased it, 0 where it is not leased. began: when that was.
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
    began    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, first),
    CHECK (last >= first),
    CHECK ((state = 1) = (token IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The order of claims: a level of priority at a time, by due, then seq; and which of them are leases.
CREATE INDEX run_claim ON run (queue, priority, due, first, state) WHERE state < 2;

-- Who has what: a token is looked up with its queue, and what is leased, or is dead since its lease expired, is
-- summed from the index alone.
CREATE INDEX run_lease ON run (queue, token, due, last, attempt, most) WHERE token IS NOT NULL;

-- Dead letters, in order.
CREATE INDEX run_dead ON run (queue, first, last) WHERE state = 2;

-- Values that can't be computed again: JSON texts, one a line (compact JSON has no line break). Immutable;
-- deleted when no run overlaps them any more. crc is their checksum, with whose they are (checksum.py). A table
-- with a rowid, whose rows may fill a page. at: when they were kept; 0: before format 6. caller: who pushed them, by
-- the name of the token; '' where nobody is known, as in a ledger without tokens, or before format 8.
CREATE TABLE block (
    id     INTEGER PRIMARY KEY,
    queue  INTEGER NOT NULL REFERENCES queue (id),
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL CHECK (last >= first),
    texts  BLOB    NOT NULL,
    crc    INTEGER NOT NULL,
    at     INTEGER NOT NULL DEFAULT 0,
    caller TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX block_place ON block (queue, first);

-- The last failed attempts of an item that is still inside. began: when it was handed out; 0: before format 6.
CREATE TABLE failure (
    id      INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL REFERENCES queue (id),
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    worker  TEXT    NOT NULL,
    error   TEXT    NOT NULL,
    began   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX failure_item ON failure (queue, seq, id);

-- The key of an item that was pushed: known until it expires (2^63-1: never), whether the item is still inside
-- or done; forgotten when the item is purged or the queue is deleted.
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
