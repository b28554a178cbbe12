-- Of which trace pushed items are: the traceparent of the request that pushed them, a row for each push. The ranges
-- of a queue don't overlap; a row goes with the last of its items that is inside.
CREATE TABLE trace (
    queue  INTEGER NOT NULL REFERENCES queue (id),
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL CHECK (last >= first),
    parent TEXT    NOT NULL,
    PRIMARY KEY (queue, first)
) STRICT, WITHOUT ROWID;
