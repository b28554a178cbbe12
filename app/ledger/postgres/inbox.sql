-- The inbox: what programs push in their own transactions, until the owner has taken it into the ledger.
--
-- Run once in a schema, by its owner, after the tables of the ledger; :"schema" stands for the schema's name. (psql
-- knows that notation, so the file also runs as `psql -1 -v schema=dibs -f inbox.sql`.) All of it may be run again.

SET LOCAL search_path = :"schema", pg_catalog;
SET LOCAL client_min_messages = warning;

-- tx: the transaction that pushed the row, n: in which order it pushed. A transaction with a lower n may commit after
-- one with a higher n, so rows are found by tx: below the oldest one that is still running nothing can appear.
-- value: JSON, as jsonb writes it. at: when it was pushed, on the database's clock; a delay counts from there.
-- There is no CHECK, since PostgreSQL reads it anew for each statement (half of the cost of the INSERT): push() sees to
-- what comes in, and what somebody else has put there and no ledger can take goes to inbox_refused.
CREATE TABLE IF NOT EXISTS inbox (
    tx       xid8        NOT NULL DEFAULT pg_current_xact_id(),
    n        int8        GENERATED ALWAYS AS IDENTITY,
    queue    text        NOT NULL,
    value    text        NOT NULL,
    key      text,
    delay_ms int8,
    priority int2        NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tx, n)
);

-- Each row is inserted, deleted, and never changed: dead rows are cleared away early, however large the table once was.
ALTER TABLE inbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000
);

-- What the owner could not take, and why. Nothing leaves it but by a retry, which makes it a row of the inbox again.
CREATE TABLE IF NOT EXISTS inbox_refused (
    tx         xid8        NOT NULL,
    n          int8        NOT NULL,
    queue      text        NOT NULL,
    value      text        NOT NULL,
    key        text,
    delay_ms   int8,
    priority   int2        NOT NULL,
    at         timestamptz NOT NULL,
    reason     text        NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (n)
);

-- What may be pushed to: a row for each name that a queue ever had. stopped: so much waits in the inbox that nothing
-- more is taken in. pushers: the roles whose members may push; null: whoever may call the function. They are the
-- database administrator's: dibs never changes them, so a queue that is deleted and defined again has the same ones.
-- glance: up to so many bytes a value needs no examination; it follows the limits, so that a push looks at one row only.
CREATE TABLE IF NOT EXISTS target (
    name    text    PRIMARY KEY,
    state   text    NOT NULL CHECK (state IN ('open', 'closed', 'source', 'deleted')),
    stopped boolean NOT NULL DEFAULT false,
    pushers name[],
    glance  int8    NOT NULL DEFAULT 0
);

-- The limits of the server that owns the ledger, which writes them whenever they change. notify: who pushes tells who
-- listens, when it commits; it takes a lock of the whole database cluster for that.
CREATE TABLE IF NOT EXISTS inbox_limits (
    one         int2 PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    value_bytes int8 NOT NULL DEFAULT 262144,
    key_bytes   int8 NOT NULL DEFAULT 255,
    delay_ms    int8 NOT NULL DEFAULT 2592000000,
    notify      boolean NOT NULL DEFAULT false
);
INSERT INTO inbox_limits DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Columns that an older release has not made, and rules that it has. Whoever pushes keeps locks until the end of its
-- transaction, and who pushes later would wait behind this: so it does not wait for long, and where it fails all stays
-- as the older release has made it until the next server that starts tries again.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'inbox_limits'::regclass AND attname = 'notify') THEN
        ALTER TABLE inbox_limits ADD COLUMN notify boolean NOT NULL DEFAULT false;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'target'::regclass AND attname = 'glance') THEN
        ALTER TABLE target ADD COLUMN glance int8 NOT NULL DEFAULT 0;
    END IF;
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'inbox'::regclass AND contype = 'c') THEN
        ALTER TABLE inbox DROP CONSTRAINT IF EXISTS inbox_delay_ms_check, DROP CONSTRAINT IF EXISTS inbox_priority_check;
    END IF;
END $$;

-- The glance of each target, by the limits: 0 (so each push is examined) where pushes are told, and where not every key of
-- 64 bytes will do. (Of all targets it is asked
-- by a scalar SELECT, which calls it once: a call for each takes 10 µs, while the owner's commit waits.)
CREATE OR REPLACE FUNCTION glance_now() RETURNS int8
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN notify OR key_bytes < 64 THEN 0 ELSE value_bytes END FROM inbox_limits;
$$;

-- A target follows its queue in the transaction that changes the queue, so neither is ever newer than the other.
CREATE OR REPLACE FUNCTION target_follows() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    named text := coalesce(NEW.name, OLD.name);
    now_is text;
BEGIN
    SELECT CASE WHEN q.source <> '' THEN 'source' WHEN q.ending IS NOT NULL THEN 'closed' ELSE 'open' END
      INTO now_is FROM queue AS q WHERE q.name = named AND q.deleted_at IS NULL;
    INSERT INTO target AS t (name, state, glance) VALUES (named, coalesce(now_is, 'deleted'), glance_now())
        ON CONFLICT (name) DO UPDATE SET state = excluded.state WHERE t.state <> excluded.state;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER target_follows AFTER INSERT OR DELETE OR UPDATE ON queue
    FOR EACH ROW EXECUTE FUNCTION target_follows();
INSERT INTO target AS t (name, state, glance)
    SELECT name, coalesce(max(CASE WHEN deleted_at IS NOT NULL THEN NULL WHEN source <> '' THEN 'source'
                                   WHEN ending IS NOT NULL THEN 'closed' ELSE 'open' END), 'deleted'), (SELECT glance_now())
    FROM queue GROUP BY name
    ON CONFLICT (name) DO UPDATE SET glance = excluded.glance WHERE t.glance <> excluded.glance;

-- Why a value can't be taken, or null. Its bytes are counted as the ledger keeps it, without the space that jsonb writes
-- after each comma and colon. Numbers beyond 2^53-1 would be rounded by most readers of JSON.
CREATE OR REPLACE FUNCTION value_fault(value jsonb, most int8, OUT code text, OUT why text, OUT hint text)
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
DECLARE
    written text := value::text;
    bytes int8 := octet_length(written);
    bare text;
BEGIN
    IF bytes > most THEN
        bare := regexp_replace(written, '"(?:[^"\\]|\\.)*"', '', 'g');
        bytes := bytes - (length(bare) - length(replace(bare, ' ', '')));
    END IF;
    IF bytes > most THEN
        code := 'QD006';
        why := format('the value has %s bytes; the limit is %s', bytes, most);
        hint := 'Push a reference to what is large, or raise the setting limits.value_bytes of dibs.';
    ELSIF octet_length(written) - octet_length(translate(written, '[{', '')) > 100
          AND jsonb_path_exists(value, 'strict $.**{100} ? (@.type() == "object" || @.type() == "array")') THEN
        code := 'QD005';
        why := 'the value is nested more than 100 levels deep';
        hint := 'Push it flatter, or as text.';
    ELSIF written ~ '[0-9]{16}' AND jsonb_path_exists(value,
            'strict $.** ? (@.type() == "number" && (@ > 9007199254740991 || @ < -9007199254740991))') THEN
        code := 'QD005';
        why := 'the value has a number beyond ±(2^53-1), which many readers of JSON would round';
        hint := 'Push the number as text.';
    END IF;
END $$;

-- Raise why a push is refused: each refusal has an SQLSTATE of its own, and the name of the argument as its column.
-- The milliseconds of its delay where there is no reason; null: it is due at once.
CREATE OR REPLACE FUNCTION examined(queue text, value jsonb, key text, delay interval, priority int) RETURNS int8
LANGUAGE plpgsql SET search_path = pg_catalog, :"schema", pg_temp AS $$
#variable_conflict use_column
DECLARE
    into_queue target%ROWTYPE;
    limits inbox_limits%ROWTYPE;
    delay_ms numeric := extract(epoch FROM examined.delay) * 1000;
    code text;
    field text;
    why text;
    hint text;
BEGIN
    SELECT * INTO into_queue FROM target AS t WHERE t.name = examined.queue;
    SELECT * INTO STRICT limits FROM inbox_limits;
    IF into_queue.name IS NULL OR into_queue.state = 'deleted' THEN
        code := 'QD001'; field := 'queue';
        why := format('there is no queue %s', coalesce(quote_literal(left(examined.queue, 64)), 'NULL'));
        hint := 'Define it first: dibs define, or PUT /queues/NAME.';
    ELSIF into_queue.pushers IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_roles AS r
            WHERE r.rolname = ANY (into_queue.pushers) AND pg_has_role(session_user, r.oid, 'MEMBER')) THEN
        code := 'QD004'; field := 'queue';
        why := format('%s may not push to %s', quote_ident(session_user), examined.queue);
        hint := format('Only members of these roles may: %s.', array_to_string(into_queue.pushers, ', '));
    ELSIF into_queue.state <> 'open' THEN
        code := 'QD002'; field := 'queue';
        why := CASE into_queue.state WHEN 'source' THEN format('%s is fed by a source: nothing can be pushed to it', examined.queue)
                                     ELSE format('%s is closed: nothing was pushed', examined.queue) END;
        hint := 'Push to another queue.';
    ELSIF into_queue.stopped THEN
        code := 'QD003'; field := 'queue';
        why := format('too many items wait in the inbox for room in %s', examined.queue);
        hint := 'Try again once items were taken out of the queue.';
    ELSIF examined.value IS NULL THEN
        code := 'QD005'; field := 'value';
        why := 'the value is NULL';
        hint := 'JSON''s null is ''null''::jsonb.';
    ELSIF octet_length(examined.key) NOT BETWEEN 1 AND limits.key_bytes THEN
        code := 'QD007'; field := 'key';
        why := format('the key has %s bytes; it must be from 1 to %s', octet_length(examined.key), limits.key_bytes);
        hint := 'Shorten it, for example to a digest; NULL pushes without a key.';
    ELSIF delay_ms NOT BETWEEN 0 AND limits.delay_ms THEN
        code := 'QD008'; field := 'delay';
        why := format('the delay is %s seconds; it must be from 0 to %s', (delay_ms / 1000)::float8,
                      (limits.delay_ms / 1000.0)::float8);
        hint := CASE WHEN delay_ms < 0 THEN 'Leave it out: without a delay the item is due at once.'
                     ELSE 'Shorten it, or raise the setting limits.delay of dibs.' END;
    ELSIF examined.priority NOT BETWEEN 0 AND 9 THEN
        code := 'QD009'; field := 'priority';
        why := format('the priority is %s; it must be from 0 to 9', examined.priority);
        hint := '0 is handed out first.';
    ELSE
        SELECT f.code, f.why, f.hint INTO code, why, hint FROM value_fault(examined.value, limits.value_bytes) AS f;
        field := 'value';
    END IF;
    IF code IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = 'dibs.push: ' || why, HINT = hint, COLUMN = field;
    END IF;
    RETURN CASE WHEN delay_ms > 0 THEN greatest(1, round(delay_ms)) END;
END $$;

-- Push an item in the transaction of whoever calls this: it is in the queue once that has committed, and never if it
-- is rolled back. Most pushes are seen at a glance to break no rule; all others are examined, by the rules above, which
-- alone decide. (Each statement, and each table that it looks at, costs a session as much as a plain INSERT.)
CREATE OR REPLACE FUNCTION push(
    queue text, value jsonb, key text DEFAULT NULL, delay interval DEFAULT NULL, priority int DEFAULT 0
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, :"schema", pg_temp AS $$
#variable_conflict use_column
DECLARE
    written text := push.value;
    delay_ms int8;
BEGIN
    INSERT INTO inbox (queue, value, key, priority)
        SELECT t.name, written, push.key, push.priority FROM target AS t
        WHERE t.name = push.queue AND t.state = 'open' AND NOT t.stopped AND t.pushers IS NULL
          AND octet_length(written) <= t.glance AND written !~ '[0-9]{16}'
          AND (octet_length(written) <= 200
               OR octet_length(written) - octet_length(translate(written, '[{', '')) <= 100)
          AND (push.key IS NULL OR octet_length(push.key) BETWEEN 1 AND 64)
          AND push.delay IS NULL AND push.priority BETWEEN 0 AND 9;
    IF NOT FOUND THEN
        delay_ms := examined(push.queue, push.value, push.key, push.delay, push.priority);
        INSERT INTO inbox (queue, value, key, delay_ms, priority)
            VALUES (push.queue, written, push.key, delay_ms, coalesce(push.priority, 0));
        PERFORM pg_notify('dibs_inbox', (current_schemas(false))[2]) FROM inbox_limits WHERE notify; -- [1]: pg_catalog
    END IF;
END $$;

-- The owner took these rows into the ledger, in this transaction. If one of them is not there, the transaction fails:
-- somebody else has taken it, or removed it.
CREATE OR REPLACE FUNCTION inbox_taken(txs int8[], ns int8[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    gone int8;
BEGIN
    DELETE FROM inbox WHERE ctid = ANY (ARRAY(
        SELECT found.ctid FROM unnest(txs, ns) AS row (tx, n) CROSS JOIN LATERAL (
            SELECT ctid FROM inbox AS i WHERE i.tx = row.tx::text::xid8 AND i.n = row.n OFFSET 0) AS found)); -- see by_key.py
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone <> cardinality(ns) THEN
        RAISE EXCEPTION USING ERRCODE = 'QD100',
            MESSAGE = format('%s of %s rows of the inbox were not there any more', cardinality(ns) - gone, cardinality(ns));
    END IF;
END $$;

-- The owner can't take these rows, for these reasons.
CREATE OR REPLACE FUNCTION inbox_refuse(txs int8[], ns int8[], reasons text[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO inbox_refused (tx, n, queue, value, key, delay_ms, priority, at, reason)
        SELECT i.tx, i.n, i.queue, i.value, i.key, i.delay_ms, i.priority, i.at, row.reason
        FROM unnest(txs, ns, reasons) AS row (tx, n, reason) CROSS JOIN LATERAL (
            SELECT * FROM inbox WHERE inbox.tx = row.tx::text::xid8 AND inbox.n = row.n OFFSET 0) AS i;
    PERFORM inbox_taken(txs, ns);
END $$;

-- The limits of the owner: bytes of a value and of a key, milliseconds of a delay; and, where the fourth number is 1, to
-- which queues nothing more may be pushed for now. Where the fifth is 1, pushes are told.
CREATE OR REPLACE FUNCTION inbox_bound(limits int8[], stopped_now text[]) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    UPDATE inbox_limits SET value_bytes = limits[1], key_bytes = limits[2], delay_ms = limits[3],
        notify = coalesce(limits[5] = 1, false);
    UPDATE target AS t SET stopped = NOT t.stopped WHERE limits[4] = 1 AND t.stopped <> (t.name = ANY (stopped_now));
    UPDATE target AS t SET glance = (SELECT glance_now()) WHERE t.glance <> (SELECT glance_now());
$$;

-- Let what was refused be tried again, of one queue or (null) of all; how many rows that were.
CREATE OR REPLACE FUNCTION inbox_retry(of_queue text) RETURNS int8
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    again int8;
BEGIN
    WITH gone AS (DELETE FROM inbox_refused AS r WHERE of_queue IS NULL OR r.queue = of_queue RETURNING *)
    INSERT INTO inbox (queue, value, key, delay_ms, priority, at)
        SELECT queue, value, key, delay_ms, priority, at FROM gone ORDER BY gone.tx, gone.n;
    GET DIAGNOSTICS again = ROW_COUNT;
    PERFORM pg_notify('dibs_inbox', current_schema()) FROM inbox_limits WHERE notify;
    RETURN again;
END $$;

REVOKE ALL ON inbox, inbox_refused, inbox_limits, target FROM PUBLIC;
REVOKE ALL ON FUNCTION push, examined, value_fault, glance_now, target_follows, inbox_taken, inbox_refuse, inbox_bound, inbox_retry
    FROM PUBLIC;

-- Whoever is granted dibs_push may push, and can read nothing. A role that may create no roles leaves this to others.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dibs_push')
       AND (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        CREATE ROLE dibs_push NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another ledger of this cluster has just made it
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'dibs_push') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO dibs_push', current_schema());
        GRANT EXECUTE ON FUNCTION push TO dibs_push;
    END IF;
END $$;

COMMENT ON FUNCTION push IS 'Push an item to a queue of dibs in this transaction. (Edition 5)';
