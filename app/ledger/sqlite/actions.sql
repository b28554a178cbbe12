-- Who did what to which queue, the last ones: at is ledger time, brief two words for a chart.
CREATE TABLE action (
    id    INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL,
    who   TEXT    NOT NULL,
    queue TEXT    NOT NULL,
    what  TEXT    NOT NULL,
    brief TEXT    NOT NULL
) STRICT;
