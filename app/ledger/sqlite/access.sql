-- Who may ask: the tokens that were made. Of each the SHA-256 is kept, and not the token; grants are its roles with
-- the patterns of their queues (consume:jobs* read:*). created, expires (null: never) and revoked are ledger time.
-- What is revoked or expired stays for a while, for whoever looks; a row is removed only when another is added, so
-- that a ledger which has had a token has one for ever: its server never takes "none is left" for "none is wanted".
CREATE TABLE access_token (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL,
    digest  BLOB    NOT NULL CHECK (length(digest) = 32),
    grants  TEXT    NOT NULL,
    maker   TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
