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
    CONSTRAINT events_stream_version UNIQUE (stream, stream_version)
);

CREATE INDEX events_campaign ON events (campaign, position);

-- A campaign starts once; a second start cannot turn a real campaign into a test.
CREATE UNIQUE INDEX events_campaign_started ON events (campaign) WHERE type = 'CampaignStarted';

-- The counter row. Its lock orders appends as they commit, and a rollback takes the number back: positions have no gaps
-- and never become visible out of order, so a reader's checkpoint is one integer.
CREATE TABLE log_head (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL
);

INSERT INTO log_head (position) VALUES (0);

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
    before  bigint;
    wrong   record;
BEGIN
    UPDATE log_head SET position = position + cardinality(ids)
    RETURNING position - cardinality(ids) INTO before;

    INSERT INTO events (position, id, campaign, stream, stream_version, type, version, source, causation, traceparent,
                        time, data)
    SELECT before + item.n,
           item.id,
           item.campaign,
           item.stream,
           coalesce((SELECT max(e.stream_version) FROM events e WHERE e.stream = item.stream), 0)
               + row_number() OVER (PARTITION BY item.stream ORDER BY item.n),
           item.type,
           item.version,
           replace(session_user, 'aevolve_', 'aevolve/'),
           item.causation,
           coalesce(item.traceparent, cause.traceparent),
           clock_timestamp(),
           item.payload::json
    FROM unnest(ids, campaigns, streams, types, versions, causations, traceparents, payloads) WITH ORDINALITY
             AS item (id, campaign, stream, type, version, causation, traceparent, payload, n)
    LEFT JOIN events cause ON cause.id = item.causation
    ORDER BY item.n;

    SELECT e.stream, item.expected, e.stream_version - 1 AS actual INTO wrong
    FROM unnest(ids, expected) AS item (id, expected) JOIN events e ON e.id = item.id
    WHERE item.expected <> e.stream_version - 1
    ORDER BY e.position LIMIT 1;
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
