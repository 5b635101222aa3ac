-- What one service's password can still do to the others: an event that PostgreSQL and Python read differently or not at
-- all, that goes by another campaign's stream, or that no broker takes; a row that cannot be leased; locks that nobody waits
-- for. Events are checked as services write them: the owner, who imports a log, brings in what older versions took.
-- Needs PostgreSQL 16.

-- The value as everybody reads it, of a repeated key the last, or null if PostgreSQL has no text for it (\u0000, half of a
-- surrogate pair, a number out of range): one such event must fail no statement that reads others.
CREATE FUNCTION as_jsonb(data json) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN data::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION is_trace_context(value text) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN value ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$';

CREATE OR REPLACE FUNCTION is_test_campaign(asked text) RETURNS boolean LANGUAGE sql STABLE
SET search_path = aevolve, pg_temp AS $$
    SELECT coalesce(bool_or(as_jsonb(data) #> '{campaign,test}' = 'true'), false)
    FROM events WHERE campaign = asked AND type = 'CampaignStarted'
$$;

CREATE FUNCTION check_event() RETURNS trigger LANGUAGE plpgsql SET search_path = aevolve, pg_temp AS $$
DECLARE
    fault text;
BEGIN
    IF session_user NOT LIKE 'aevolve\_%' THEN
        RETURN NEW;
    END IF;
    fault := CASE
        WHEN strpos(NEW.campaign, '/') > 0 THEN 'campaign: an id has no slash'
        WHEN NEW.stream <> NEW.campaign AND NOT starts_with(NEW.stream, NEW.campaign || '/')
            THEN 'stream: name it like its campaign, or begin it with the campaign and a slash'
        WHEN char_length(NEW.type) > 100 THEN 'type: at most 100 characters'
        WHEN NOT is_trace_context(NEW.traceparent) THEN 'traceparent: only the 55 characters of a W3C trace context'
        WHEN as_jsonb(NEW.data) IS NULL
            THEN 'data: without \u0000, halves of surrogate pairs and numbers that numeric cannot hold'
        WHEN NEW.data IS NOT JSON OBJECT WITH UNIQUE KEYS THEN 'data: an object whose keys are unique at every depth'
    END;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION 'event of type % in campaign %: %', left(NEW.type, 100), left(NEW.campaign, 200), fault
            USING ERRCODE = 'check_violation', CONSTRAINT = 'events_form';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER events_form BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION check_event();

-- As in 005_writer.sql, with three changes: whether a batch starts a test is read like everywhere; an event of the batch
-- causes later ones alone, so that no event causes itself; a trace context is inherited only in W3C form.
CREATE OR REPLACE FUNCTION write_effects_v1(
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
                                     AND as_jsonb(own.payload::json) #> '{campaign,test}' = 'true')))
        UNION ALL
        SELECT 2, item.effect, json_build_object('kind', 'unknown event', 'event', item.cause)
        FROM (SELECT caused.effect, caused.cause, caused.n FROM unnest(effects, causations)
                  WITH ORDINALITY AS caused (effect, cause, n)
              UNION ALL SELECT *, cardinality(ids) + 1 FROM unnest(work_effects, causes)
              UNION ALL SELECT n::integer, cause, cardinality(ids) + 1
                  FROM unnest(handled) WITH ORDINALITY AS woken (cause, n)) AS item (effect, cause, n)
        -- An event of the batch is a cause of later ones alone.
        WHERE item.cause IS NOT NULL AND coalesce(array_position(ids, item.cause) >= item.n, true)
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
               coalesce(item.given, CASE WHEN is_trace_context(cause.traceparent) THEN cause.traceparent END)
                   AS traceparent,
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

-- The time that dead workers held a lease, at most as `work_lost` allows: a row beyond it could not be leased.
CREATE OR REPLACE FUNCTION lost_seconds_now(job work) RETURNS double precision STABLE LANGUAGE sql
    SET search_path FROM CURRENT
RETURN least(1000000000, job.lost_seconds + CASE
    WHEN job.state = 'leased' AND job.lease_until <= now() AND job.leased_at IS NOT NULL
    THEN greatest(0, extract(epoch FROM job.lease_until - job.leased_at))::double precision
    ELSE 0 END);

-- Open jobs from before 015_work_rows.sql that its checks let nobody lease or end.
UPDATE work SET state = 'failed', ended_at = now(), queued_at = now(), available_at = now(), deadline = NULL,
    lease_until = NULL, leased_at = NULL, attempt = greatest(attempt, 0), lost_seconds = 0
WHERE state IN ('queued', 'leased') AND octet_length(payload::text) <= 50000000
  AND char_length(campaign) <= 200 AND char_length(key) <= 500
  AND NOT (attempt >= 0 AND lost_seconds BETWEEN 0 AND 1000000000
           AND least(deadline, queued_at, available_at, lease_until, leased_at, ended_at) >= '1970-01-01Z'
           AND greatest(deadline, queued_at, available_at, lease_until, leased_at, ended_at) <= '9999-12-31Z');

-- A checkpoint is a service's own: where a new broker begins is their minimum.
CREATE FUNCTION check_checkpoint() RETURNS trigger LANGUAGE plpgsql SET search_path = aevolve, pg_temp AS $$
BEGIN
    IF session_user LIKE 'aevolve\_%' AND session_user <> 'aevolve_' || NEW.consumer THEN
        RAISE EXCEPTION 'role % may not keep a checkpoint of %: only its own', session_user, left(NEW.consumer, 200)
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'checkpoints_service';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER checkpoints_service BEFORE INSERT OR UPDATE ON checkpoints
    FOR EACH ROW EXECUTE FUNCTION check_checkpoint();
DELETE FROM checkpoints c WHERE NOT EXISTS (SELECT FROM writers w WHERE w.role = 'aevolve_' || c.consumer)
                            AND EXISTS (SELECT FROM writers);

-- Become the one relay of a broker incarnation, as long as the session lives. A session holds one such lock, so that none
-- fills the server's table of locks with them.
CREATE FUNCTION lead_relay(incarnation text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_unlock_all();
    RETURN pg_try_advisory_lock(hashtextextended('aevolve relay ' || incarnation, 0));
END
$$;

REVOKE EXECUTE ON FUNCTION lead_relay FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lead_relay
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;

-- End the sessions of our roles in this database whose transaction is older than so many seconds and which
--   hold a lock with which one writes to a table of the log, or locks its rows (others skip those without waiting), and
--   do not wait themselves; the counter row's waiters have a limit of their own (ours wait for 10 s),
--   block another session in any other way, or
--   have been idle for as long: they keep notifications from being forgotten, and with a full queue nobody commits. The
--   console may be idle as long as a tenth of the queue is not full: it compares the whole log in one transaction;
-- and those which keep migrations waiting, at any age: no service takes that lock.
-- A role can change its own timeouts, but not this. A row per ended session.
CREATE OR REPLACE FUNCTION end_blockers_after(seconds double precision)
RETURNS TABLE (pid integer, role text, seconds_held double precision) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_filling boolean := pg_notification_queue_usage() > 0.1;  -- and forgets what nobody keeps any more
BEGIN
    RETURN QUERY
    WITH ours AS MATERIALIZED (
        SELECT a.pid, a.usename::text AS role, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS age,
               CASE WHEN a.state LIKE 'idle in transaction%'
                    THEN extract(epoch FROM clock_timestamp() - a.state_change)::float8 END AS idle
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.usename LIKE 'aevolve\_%' AND a.pid <> pg_backend_pid()
    ), locks AS MATERIALIZED (
        SELECT * FROM pg_locks l WHERE EXISTS (SELECT FROM ours WHERE ours.age > seconds) OR l.locktype = 'advisory'
    ), blockers AS (
        SELECT l.pid, seconds AS least
        FROM locks l
        WHERE l.granted AND l.locktype = 'relation'
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          AND l.relation IN (SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'aevolve'::regnamespace)
          AND l.mode <> 'AccessShareLock'
          AND (l.relation = 'aevolve.log_head'::regclass OR l.mode NOT IN ('RowShareLock', 'RowExclusiveLock')
               OR NOT EXISTS (SELECT FROM locks waiting WHERE waiting.pid = l.pid AND NOT waiting.granted))
        UNION ALL
        SELECT ours.pid, seconds FROM ours
        WHERE ours.idle > seconds AND ours.role <> 'aevolve_console' OR is_filling
        UNION ALL
        SELECT unnest(pg_blocking_pids(l.pid)), seconds FROM locks l WHERE NOT l.granted
        UNION ALL
        SELECT l.pid, -1
        FROM locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 1
          AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('aevolve migrations', 0)
    ), ending AS MATERIALIZED (
        SELECT ours.pid, ours.role, ours.age FROM ours WHERE EXISTS (SELECT FROM blockers b WHERE b.pid = ours.pid AND ours.age > b.least)
    )
    SELECT ending.pid, ending.role, ending.age FROM ending WHERE pg_terminate_backend(ending.pid);
END
$$;
