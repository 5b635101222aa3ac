-- One statement writes a whole batch of effects, so that what a process has to write at the same time shares one commit.

-- The canonical bytes of an event are its attributes in the order of the table's columns, each as its length in
-- characters, a colon and its text, or as a hyphen where it is null, in UTF-8. The time is the whole number of
-- microseconds since 1970 in UTC, the data its text byte for byte. No two events have the same bytes, because each
-- attribute says where it ends. `eventstore/chain.py` computes the same without a database. (The same bytes as in
-- 001_log.sql; one expression costs a third of a call per attribute.)
CREATE FUNCTION canonical_event(
    "position" bigint, id uuid, campaign text, stream text, stream_version bigint, type text, version integer,
    source text, causation uuid, traceparent text, "time" timestamptz, data text
) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat(
        char_length("position"::text), ':', "position",
        '36:', id,
        char_length(campaign), ':', campaign,
        char_length(stream), ':', stream,
        char_length(stream_version::text), ':', stream_version,
        char_length(type), ':', type,
        char_length(version::text), ':', version,
        char_length(source), ':', source,
        coalesce('36:' || causation, '-'),
        coalesce(char_length(traceparent) || ':' || traceparent, '-'),
        char_length((extract(epoch FROM "time") * 1000000)::bigint::text), ':',
        (extract(epoch FROM "time") * 1000000)::bigint,
        char_length(data), ':', data)
$$;

-- Write a batch of effects, each whole or not at all, and none because of another. Arrays run in parallel. An effect may
-- be that of a consumer that handles an event (else both are null); `effects` and `work_effects` say, counting from 1,
-- to which effect an event or a job belongs. `expected` is the version that its stream must have before an event, null
-- for any. The source and the right to write come from the login role, which a caller cannot choose; where no trace
-- context is given, that of the causing event goes on.
--
-- One row comes back per event of the effects that were carried out, with its place among the arrays, and one per refused
-- effect, with its place among the effects. An effect whose events are in the log already, by their ids, is refused as
-- repeated.
CREATE FUNCTION write_effects_v1(
    consumers text[], handled uuid[],
    effects integer[], ids uuid[], campaigns text[], streams text[], expected bigint[], types text[],
    versions integer[], causations uuid[], traceparents text[], payloads text[],
    work_effects integer[], queues text[], keys text[], work_campaigns text[], work_payloads text[],
    priorities integer[], attempts integer[], deadlines timestamptz[], causes uuid[]
) RETURNS TABLE (
    n bigint, refusal json,
    "position" bigint, stream_version bigint, source text, traceparent text, "time" timestamptz
) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = aevolve, pg_temp
-- Plans are made once, when the log may be empty, and must suit it when it is long.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    before   bigint;
    previous bytea;
    refused  json[] := array_fill(NULL::json, ARRAY[cardinality(consumers)]);
    numbers  bigint[];
    wrong    record;
BEGIN
    -- From here to the commit nobody else writes effects, and nothing below waits for another session.
    SELECT h.position, h.hash INTO before, previous FROM log_head h FOR UPDATE;

    -- What one can tell of an effect without the others; of several reasons the last decides. A refusal is {"kind", ...},
    -- as `eventstore/errors.py` reads it.
    FOR wrong IN
        SELECT 1 AS rank, item.effect, json_build_object('kind', 'not a writer', 'role', session_user, 'type', item.type,
                                                         'campaign', item.campaign) AS refusal
        FROM unnest(effects, types, campaigns) AS item (effect, type, campaign)
        WHERE item.type <> ALL (ARRAY(SELECT w.type FROM writers w WHERE w.role = session_user))
          AND NOT (session_user = 'aevolve_console'
                   AND (is_test_campaign(item.campaign)
                        OR EXISTS (SELECT FROM unnest(effects, types, campaigns, payloads)
                                       AS own (effect, type, campaign, payload)
                                   WHERE own.effect = item.effect AND own.campaign = item.campaign
                                     AND own.type = 'CampaignStarted'
                                     AND (own.payload::json #>> '{campaign,test}')::boolean)))
        UNION ALL
        SELECT 2, item.effect, json_build_object('kind', 'unknown event', 'event', item.cause)
        FROM (SELECT * FROM unnest(effects, causations)
              UNION ALL SELECT * FROM unnest(work_effects, causes)
              UNION ALL SELECT n::integer, cause FROM unnest(handled) WITH ORDINALITY AS woken (cause, n))
                 AS item (effect, cause)
        WHERE item.cause IS NOT NULL AND item.cause <> ALL (ids)
          AND NOT EXISTS (SELECT FROM events e WHERE e.id = item.cause)
        UNION ALL
        SELECT 3, item.effect, json_build_object('kind', 'repeated')
        FROM unnest(effects, ids) AS item (effect, id) JOIN events e ON e.id = item.id
        UNION ALL
        SELECT 4, woken.n::integer, json_build_object('kind', 'handled')
        FROM unnest(consumers, handled) WITH ORDINALITY AS woken (consumer, event, n)
        JOIN inbox i ON i.consumer = woken.consumer AND i.event = woken.event
        ORDER BY rank
    LOOP
        refused[wrong.effect] := wrong.refusal;
    END LOOP;

    -- An event counts the events of its stream before it in the batch; a refused one no longer counts for the others.
    LOOP
        SELECT array_agg(item.number ORDER BY item.n) INTO numbers
        FROM (SELECT item.n,
                     CASE WHEN refused[item.effect] IS NULL
                          THEN coalesce((SELECT max(e.stream_version) FROM events e WHERE e.stream = item.stream), 0)
                               + count(*) FILTER (WHERE refused[item.effect] IS NULL)
                                     OVER (PARTITION BY item.stream ORDER BY item.n) END AS number
              FROM unnest(effects, streams) WITH ORDINALITY AS item (effect, stream, n)) item;

        SELECT item.n, item.expected, item.number - 1 AS actual INTO wrong
        FROM unnest(expected, numbers) WITH ORDINALITY AS item (expected, number, n)
        WHERE item.expected <> item.number - 1 ORDER BY item.n LIMIT 1;
        EXIT WHEN NOT FOUND;
        refused[effects[wrong.n]] := json_build_object(
            'kind', 'conflict', 'stream', streams[wrong.n], 'expected', wrong.expected, 'actual', wrong.actual);
    END LOOP;

    RETURN QUERY
    WITH recorded AS MATERIALIZED (
        SELECT before + row_number() OVER (ORDER BY item.n) AS position,
               item.*,
               replace(session_user, 'aevolve_', 'aevolve/') AS source,
               coalesce(item.given, cause.traceparent) AS traceparent,
               clock_timestamp() AS time
        FROM unnest(ids, campaigns, streams, numbers, types, versions, causations, traceparents, payloads)
                 WITH ORDINALITY
                 AS item (id, campaign, stream, number, type, version, causation, given, data, n)
        LEFT JOIN events cause ON cause.id = item.causation
        WHERE item.number IS NOT NULL
    ), inserted AS (
        INSERT INTO events (position, id, campaign, stream, stream_version, type, version, source, causation,
                            traceparent, time, data, hash)
        SELECT r.position, r.id, r.campaign, r.stream, r.number, r.type, r.version, r.source, r.causation,
               r.traceparent, r.time, r.data::json,
               chain(previous, canonical_event(r.position, r.id, r.campaign, r.stream, r.number, r.type, r.version,
                                               r.source, r.causation, r.traceparent, r.time, r.data))
                   OVER (ORDER BY r.position)
        FROM recorded r
        ORDER BY r.position)
    SELECT r.n, NULL::json, r.position, r.number, r.source, r.traceparent, r.time
    FROM recorded r ORDER BY r.position;

    UPDATE log_head SET position = last.position, hash = last.hash
    FROM (SELECT e.position, e.hash FROM events e WHERE e.position > before ORDER BY e.position DESC LIMIT 1) last;
    IF FOUND THEN
        PERFORM pg_notify('aevolve_events', before::text);
    END IF;

    INSERT INTO inbox (consumer, event)
    SELECT woken.consumer, woken.event
    FROM unnest(consumers, handled) WITH ORDINALITY AS woken (consumer, event, n)
    WHERE woken.consumer IS NOT NULL AND refused[woken.n] IS NULL;

    IF cardinality(keys) > 0 THEN
        IF NOT has_table_privilege(session_user, 'aevolve.work', 'INSERT') THEN
            RAISE EXCEPTION 'role % may not queue work', session_user USING ERRCODE = 'insufficient_privilege';
        END IF;
        -- Looking first, instead of ON CONFLICT, waits for no session that changes a job of the same key.
        INSERT INTO work (queue, key, campaign, payload, priority, attempts, deadline, cause)
        SELECT job.queue, job.key, job.campaign, job.payload::json, job.priority, job.attempts, job.deadline, job.cause
        FROM (SELECT DISTINCT ON (job.queue, job.key) job.*
              FROM unnest(work_effects, queues, keys, work_campaigns, work_payloads, priorities, attempts, deadlines, causes)
                       WITH ORDINALITY
                       AS job (effect, queue, key, campaign, payload, priority, attempts, deadline, cause, n)
              WHERE refused[job.effect] IS NULL
              ORDER BY job.queue, job.key, job.n) job
        WHERE NOT EXISTS (SELECT FROM work w WHERE w.queue = job.queue AND w.key = job.key)
        ORDER BY job.n;
    END IF;

    RETURN QUERY
    SELECT reason.n, reason.refusal, NULL::bigint, NULL::bigint, NULL, NULL, NULL::timestamptz
    FROM unnest(refused) WITH ORDINALITY AS reason (refusal, n)
    WHERE reason.refusal IS NOT NULL;
END
$$;

DROP FUNCTION append_events_v1;
DROP FUNCTION canonical_attribute;

REVOKE EXECUTE ON FUNCTION write_effects_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION write_effects_v1
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
