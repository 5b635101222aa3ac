-- name: scratch_projections
-- Where the projections are rebuilt: in the session's own temporary schema, which asks for no right and leaves nothing.
CREATE TEMP TABLE rebuilt_consumers (consumer text, type text, PRIMARY KEY (consumer, type)) ON COMMIT DROP;
CREATE TEMP TABLE rebuilt_work (
    queue    text,
    key      text,
    consumer text,
    campaign text,
    payload  jsonb,
    priority integer,
    attempts integer,
    deadline timestamptz,
    states   text[],       -- one of which the log allows
    least    integer,      -- bounds of the tries that the log knows of
    most     integer,
    seen     timestamptz,  -- when the log first spoke of the job; null where it has not
    due      boolean,      -- whether the job is owed at the end of the log
    PRIMARY KEY (queue, key)
) ON COMMIT DROP

-- name: keep_snapshot
-- The rebuilding may take longer between two statements than a session may usually idle; it holds no lock.
SET LOCAL idle_in_transaction_session_timeout = 0

-- name: add_rebuilt_work
-- One job as the log has it.
INSERT INTO rebuilt_work VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: compare_head
-- The counter row against the last event.
WITH rebuilt AS (SELECT position, hash FROM events ORDER BY position DESC LIMIT 1)
SELECT 'log_head' AS projection, 'head' AS row, told.field, told.live, told.log
FROM (VALUES (true)) AS one (single)
LEFT JOIN log_head live USING (single)
LEFT JOIN rebuilt ON true
CROSS JOIN LATERAL (VALUES
    ('position', live.position::text, coalesce(rebuilt.position, 0)::text),
    ('hash', encode(live.hash, 'hex'), coalesce(encode(rebuilt.hash, 'hex'), repeat('00', 32)))
) AS told (field, live, log)
WHERE told.live IS DISTINCT FROM told.log

-- name: compare_inbox
-- Up to its checkpoint a consumer has handled every event of its types; and no event of another type anywhere.
SELECT 'inbox' AS projection, format('%s: %s at position %s', c.consumer, e.type, e.position) AS row,
       'row' AS field, NULL AS live, 'handled' AS log
FROM checkpoints c JOIN rebuilt_consumers t USING (consumer) JOIN events e ON e.type = t.type
WHERE e.position <= c.position AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = c.consumer AND i.event = e.id)
UNION ALL
SELECT 'inbox', format('%s: %s', i.consumer, coalesce(format('%s at position %s', e.type, e.position), i.event::text)),
       'row', 'handled', NULL
FROM inbox i LEFT JOIN events e ON e.id = i.event
WHERE i.consumer IN (SELECT consumer FROM rebuilt_consumers)
  AND NOT EXISTS (SELECT FROM rebuilt_consumers t WHERE t.consumer = i.consumer AND t.type = e.type)

-- name: compare_checkpoints
-- No consumer can have come further than the log.
SELECT 'checkpoints' AS projection, c.consumer AS row, 'position' AS field, c.position::text AS live,
       format('at most %s', head.position) AS log
FROM checkpoints c, (SELECT coalesce(max(position), 0) AS position FROM events) AS head
WHERE c.position > head.position

-- name: compare_work
-- Every job against what the services' steps queue and what the log says of its end. A job is missed where its service
-- had begun to handle the campaign before the log spoke of the job (an imported log has no jobs), or where it is owed
-- and the service is not behind. $1: campaigns into which events were emitted by hand.
SELECT 'work' AS projection, queue || ' ' || key AS row, told.field, told.live, told.log
FROM work w FULL JOIN rebuilt_work r USING (queue, key)
CROSS JOIN LATERAL (VALUES
    ('row',
     w.state,
     CASE WHEN w.id IS NOT NULL AND r.queue IS NOT NULL THEN w.state
          WHEN r.seen IS NOT NULL AND EXISTS (
              SELECT FROM inbox i JOIN events e ON e.id = i.event
              WHERE i.consumer = r.consumer AND e.campaign = r.campaign AND i.handled_at <= r.seen) THEN 'queued'
          WHEN r.due AND NOT EXISTS (
              SELECT FROM events e JOIN rebuilt_consumers t ON t.type = e.type
              WHERE t.consumer = r.consumer AND e.campaign = r.campaign
                AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = r.consumer AND i.event = e.id)) THEN 'queued'
     END),
    ('campaign', w.campaign, r.campaign),
    ('payload', as_jsonb(w.payload)::text, r.payload::text),
    ('priority', w.priority::text, r.priority::text),
    ('attempts', w.attempts::text, r.attempts::text),
    ('deadline', w.deadline::text, r.deadline::text),
    ('state', w.state, CASE WHEN w.state = ANY (r.states) THEN w.state ELSE array_to_string(r.states, ' or ') END),
    ('attempt', w.attempt::text, CASE WHEN w.attempt BETWEEN r.least AND r.most THEN w.attempt::text
                                      ELSE format('%s to %s', r.least, r.most) END),
    ('cause', w.cause::text, CASE WHEN w.cause IS NULL OR EXISTS (
         SELECT FROM events e WHERE e.id = w.cause AND e.campaign = r.campaign) THEN w.cause::text
         ELSE format('an event of %s', r.campaign) END)
) AS told (field, live, log)
WHERE told.live IS DISTINCT FROM told.log
  AND (told.field = 'row' OR (w.id IS NOT NULL AND r.queue IS NOT NULL))
  AND coalesce(w.campaign, r.campaign) <> ALL ($1::text[])
ORDER BY queue, key, told.field

-- name: count_projections
-- Rows of the tables that were compared.
SELECT (SELECT count(*) FROM log_head) AS log_head, (SELECT count(*) FROM inbox) AS inbox,
       (SELECT count(*) FROM checkpoints) AS checkpoints, (SELECT count(*) FROM work) AS work
