-- What came to the tables of format 1 after they were first made. Each is something that an older server does not ask for, so that
-- servers may be upgraded one by one; who starts makes what lacks.

-- The queues that a server's configuration had, by where the server is reached: it has no other name that outlives it. What was
-- applied last, by that server or by any, is not applied once more, so that a start undoes nothing that was changed meanwhile.
CREATE TABLE IF NOT EXISTS configuration (
    address text PRIMARY KEY,
    digest  text NOT NULL,
    queues  text NOT NULL,
    number  int8 NOT NULL
);

-- In which database (its OID) and schema the ledger was made, so that a copy in the same cluster is noticed, too.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS place text;
UPDATE ledger SET place = (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || current_schema()
WHERE place IS NULL;

-- Transactions that were told to callers and are gone, as where a standby was promoted that lacked them: whoever knows of them
-- notes it here, so that no server which begins later goes on without them unless somebody has said so. All up to n of that
-- term were told, and the ledger stood at "found". What the owner knew of its queues is in "queues", so that no number goes out
-- twice; it is null where nobody knows. "went_on" is the term that began without them.
CREATE TABLE IF NOT EXISTS loss (
    term     int8        PRIMARY KEY,
    n        int8        NOT NULL,
    found    int8        NOT NULL,
    queues   text,
    noticed  timestamptz NOT NULL DEFAULT clock_timestamp(),
    accepted timestamptz,
    passed   int8,
    again    int8,
    gone     text,
    went_on  int8
);

-- In which timeline of PostgreSQL the owner of a term wrote last: each promotion of a standby begins another.
ALTER TABLE term ADD COLUMN IF NOT EXISTS timeline int8;

-- By how many transactions a server's copy of the owner's memory is behind; null where it has none.
ALTER TABLE server ADD COLUMN IF NOT EXISTS lag int8;

-- Who has said that a ledger goes on without what it has lost; it becomes an action of the term that does.
ALTER TABLE loss ADD COLUMN IF NOT EXISTS who text;

-- What is not well with a server that may own all the same: that it can't reach the owner, that its configuration was refused.
ALTER TABLE server ADD COLUMN IF NOT EXISTS troubles text[] NOT NULL DEFAULT '{}';

-- Where in its author's code a source failed; null where it did not, or that is not known.
ALTER TABLE queue ADD COLUMN IF NOT EXISTS failure_place bytea;

-- Who pushed the items of a block, by the name of the token; empty where nobody is known.
ALTER TABLE block ADD COLUMN IF NOT EXISTS caller bytea NOT NULL DEFAULT '';
