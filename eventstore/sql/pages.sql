-- name: log_before
-- One page of the whole log before a position, the youngest first.
SELECT * FROM events
WHERE position < $1 AND ($2::text[] IS NULL OR type = ANY ($2))
ORDER BY position DESC LIMIT $3

-- name: campaign_before
-- One page of a campaign before a position, the youngest first.
SELECT * FROM events
WHERE position < $1 AND ($2::text[] IS NULL OR type = ANY ($2)) AND campaign = $4
ORDER BY position DESC LIMIT $3

-- name: stream_before
-- One page of a stream before a position, the youngest first; its versions rise with its positions.
SELECT * FROM events
WHERE position < $1 AND ($2::text[] IS NULL OR type = ANY ($2)) AND stream = $4 AND ($5::text IS NULL OR campaign = $5)
ORDER BY stream_version DESC LIMIT $3

-- name: consumers
-- How far each service has come, and how many sessions it has open with this database.
SELECT service, coalesce(c.position, 0) AS position, c.position IS NOT NULL AS began,
       (SELECT count(*) FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.usename = 'aevolve_' || service) AS sessions
FROM unnest($1::text[]) WITH ORDINALITY AS named (service, n) LEFT JOIN checkpoints c ON c.consumer = service
ORDER BY named.n

-- name: leases
-- The jobs that are leased now, the oldest first.
SELECT queue, key, campaign, worker, attempt, attempts, extract(epoch FROM lease_until - now())::float8 AS seconds_left
FROM work WHERE state = 'leased' ORDER BY id LIMIT $1

-- name: queue_ages
-- The jobs that wait, and how long the oldest has, in at most 100 queues, those of services first.
SELECT queue, count(*) AS jobs, extract(epoch FROM now() - min(queued_at))::float8 AS oldest
FROM work WHERE state = 'queued' GROUP BY queue
ORDER BY queue NOT IN (SELECT o.queue FROM queue_owners o), queue LIMIT 100

-- name: relays
-- How far each life of a broker has been told, the last one first.
SELECT incarnation, position FROM relay_cursors ORDER BY position DESC LIMIT 5
