-- The log: one gapless sequence of events that nobody can change, and the only door through which events enter it.

CREATE TABLE events (
    position       bigint PRIMARY KEY,
    id             uuid NOT NULL CONSTRAINT events_id UNIQUE,
    campaign       text NOT NULL,
    stream         text NOT NULL,
    stream_version bigint NOT NULL,
    type           text NOT NULL,
    version        integer NOT NULL,
    source         text NOT NULL,
    causation      uuid CONSTRAINT events_causation REFERENCES events (id),
    traceparent    text,
    time           timestamptz NOT NULL,
    -- json, not jsonb: the canonical text is kept byte for byte, so that it can be hashed and compared.
    data           json NOT NULL,
    -- sha256(hash of the event before || canonical bytes of this one): nothing before it can change unseen.
    hash           bytea NOT NULL,
    CONSTRAINT events_stream_version UNIQUE (stream, stream_version)
);

CREATE INDEX events_campaign ON events (campaign, position);

-- A campaign starts once; a second start cannot turn a real campaign into a test.
CREATE UNIQUE INDEX events_campaign_started ON events (campaign) WHERE type = 'CampaignStarted';

-- The counter row. Its lock orders appends as they commit, and a rollback takes the number back: positions have no gaps
-- and never become visible out of order, so a reader's checkpoint is one integer. It keeps the last hash too, so
-- that events that are cut off the end are missed.
CREATE TABLE log_head (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL,
    hash     bytea NOT NULL
);

-- An empty log has 32 zero bytes for its last hash.
INSERT INTO log_head (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE TABLE writers (
    type text,
    role text,
    PRIMARY KEY (type, role)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % of events is refused; append a correcting event instead', TG_OP
        USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'events_append_only';
END
$$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Also where a session calls itself a replica, which silences ordinary triggers.
ALTER TABLE events ENABLE ALWAYS TRIGGER events_append_only;

CREATE FUNCTION is_test_campaign(asked text) RETURNS boolean LANGUAGE sql STABLE
SET search_path = aevolve, pg_temp AS $$
    SELECT coalesce(bool_or((data #>> '{campaign,test}')::boolean), false)
    FROM events WHERE campaign = asked AND type = 'CampaignStarted'
$$;

-- The canonical bytes of an event are its attributes in the order of the table's columns, each as its length in
-- characters, a colon and its text, or as a hyphen where it is null, in UTF-8. The time is the whole number of
-- microseconds since 1970 in UTC, the data its text byte for byte. No two events have the same bytes, because each
-- attribute says where it ends. `eventstore/chain.py` computes the same without a database. (plpgsql, because each call
-- of a function in SQL would be planned again with each append, for 0.1 ms.)
CREATE FUNCTION canonical_attribute(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN coalesce(char_length(value) || ':' || value, '-');
END
$$;

CREATE FUNCTION next_hash(chained bytea, head bytea, canonical text) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN sha256(coalesce(chained, head) || convert_to(canonical, 'UTF8'));
END
$$;

-- As a window function it gives each event of one append its hash, in one pass.
CREATE AGGREGATE chain(head bytea, canonical text) (SFUNC = next_hash, STYPE = bytea);

-- Append one effect: all items or none. Arrays run in parallel, one element per event; `expected` is the version its
-- stream must have before the event, null for any. The source and the right to write come from the login role, which a
-- caller cannot choose; where no trace context is given, that of the causing event goes on.
-- Rejections carry a constraint name and a JSON detail: events_expected_version {stream, expected, actual},
-- events_writer {type, role, campaign}.
CREATE FUNCTION append_events_v1(
    ids uuid[], campaigns text[], streams text[], expected bigint[], types text[], versions integer[],
    causations uuid[], traceparents text[], payloads text[]
) RETURNS SETOF events LANGUAGE plpgsql SECURITY DEFINER
SET search_path = aevolve, pg_temp AS $$
DECLARE
    before   bigint;
    previous bytea;
    wrong    record;
BEGIN
    SELECT position, hash INTO before, previous FROM log_head FOR UPDATE;

    WITH recorded AS MATERIALIZED (
        SELECT before + item.n AS position,
               item.id,
               item.campaign,
               item.stream,
               coalesce((SELECT max(e.stream_version) FROM events e WHERE e.stream = item.stream), 0)
                   + row_number() OVER (PARTITION BY item.stream ORDER BY item.n) AS stream_version,
               item.type,
               item.version,
               replace(session_user, 'aevolve_', 'aevolve/') AS source,
               item.causation,
               coalesce(item.traceparent, cause.traceparent) AS traceparent,
               clock_timestamp() AS time,
               item.payload AS data
        FROM unnest(ids, campaigns, streams, types, versions, causations, traceparents, payloads) WITH ORDINALITY
                 AS item (id, campaign, stream, type, version, causation, traceparent, payload, n)
        LEFT JOIN events cause ON cause.id = item.causation)
    INSERT INTO events (position, id, campaign, stream, stream_version, type, version, source, causation, traceparent,
                        time, data, hash)
    SELECT r.position, r.id, r.campaign, r.stream, r.stream_version, r.type, r.version, r.source, r.causation,
           r.traceparent, r.time, r.data::json,
           chain(previous, canonical_attribute(r.position::text)
                        || canonical_attribute(r.id::text)
                        || canonical_attribute(r.campaign)
                        || canonical_attribute(r.stream)
                        || canonical_attribute(r.stream_version::text)
                        || canonical_attribute(r.type)
                        || canonical_attribute(r.version::text)
                        || canonical_attribute(r.source)
                        || canonical_attribute(r.causation::text)
                        || canonical_attribute(r.traceparent)
                        || canonical_attribute((extract(epoch FROM r.time) * 1000000)::bigint::text)
                        || canonical_attribute(r.data)) OVER (ORDER BY r.position)
    FROM recorded r
    ORDER BY r.position;

    UPDATE log_head SET position = last.position, hash = last.hash
    FROM events last WHERE last.position = before + cardinality(ids);

    SELECT e.stream, item.expected, e.stream_version - 1 AS actual INTO wrong
    FROM unnest(expected) WITH ORDINALITY AS item (expected, n) JOIN events e ON e.position = before + item.n
    WHERE item.expected <> e.stream_version - 1
    ORDER BY item.n LIMIT 1;  -- by the item: ordered by the event, the plan walks the whole log
    IF FOUND THEN
        RAISE EXCEPTION 'stream % has version %, expected %', wrong.stream, wrong.actual, wrong.expected
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'events_expected_version',
                  DETAIL = row_to_json(wrong);
    END IF;

    SELECT e.type, session_user AS role, e.campaign INTO wrong
    FROM events e
    WHERE e.position > before
      AND NOT EXISTS (SELECT FROM writers w WHERE w.type = e.type AND w.role = session_user)
      AND NOT (session_user = 'aevolve_console' AND is_test_campaign(e.campaign))
    ORDER BY e.position LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % may not write %', wrong.role, wrong.type
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'events_writer', DETAIL = row_to_json(wrong);
    END IF;

    PERFORM pg_notify('aevolve_events', (before + cardinality(ids))::text);
    RETURN QUERY SELECT * FROM events e WHERE e.position > before ORDER BY e.position;
END
$$;
