-- name: lease_work
-- Lease the job of the highest priority, the oldest first; an expired lease is taken over as one more try.
UPDATE work
SET state = 'leased', attempt = attempt + 1, worker = $2, token = $3, lease_until = now() + $4::interval,
    leased_at = now(), lost_seconds = lost_seconds_now(work)
WHERE id = (
    SELECT id FROM work
    WHERE queue = ANY ($1)
      AND state IN ('queued', 'leased')
      AND attempt < attempts
      AND (deadline IS NULL OR deadline > now())
      AND CASE state WHEN 'queued' THEN available_at ELSE lease_until END <= now()
    ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *, extract(epoch FROM deadline - now())::float8 AS seconds_left,
    extract(epoch FROM now() - queued_at)::float8 AS age, lost_seconds AS lost,
    (SELECT e.traceparent FROM events e WHERE e.id = work.cause) AS traceparent

-- name: end_refused_work
-- End the job that `lease_work` takes next, without what the checks of its row can refuse.
UPDATE work
SET state = 'failed', ended_at = now(), lease_until = NULL, leased_at = NULL, lost_seconds = 0
WHERE id = (
    SELECT id FROM work
    WHERE queue = ANY ($1)
      AND state IN ('queued', 'leased')
      AND attempt < attempts
      AND (deadline IS NULL OR deadline > now())
      AND CASE state WHEN 'queued' THEN available_at ELSE lease_until END <= now()
    ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING queue, key

-- name: heartbeat_work
-- Prolong a lease; no row where it is lost.
UPDATE work SET lease_until = now() + $3::interval
WHERE id = $1 AND token = $2 AND state = 'leased' RETURNING id

-- name: end_work
-- End a leased job as done or failed; no row where the lease is lost.
UPDATE work SET state = $3, ended_at = now(), lease_until = NULL
WHERE id = $1 AND token = $2 AND state = 'leased' RETURNING id

-- name: requeue_work
-- Give a leased job back for another try after a pause, with the time that no event charges yet ($4); no row where the
-- lease is lost.
UPDATE work
SET state = 'queued', available_at = now() + $3::interval, token = NULL, lease_until = NULL, lost_seconds = least($4::float8, 1000000000)
WHERE id = $1 AND token = $2 AND state = 'leased' RETURNING id

-- name: postpone_work
-- Give a leased job back as if it had not been taken, to wait; no row where the lease is lost.
UPDATE work
SET state = 'queued', attempt = attempt - 1, available_at = now() + $3::interval, token = NULL, lease_until = NULL
WHERE id = $1 AND token = $2 AND state = 'leased' RETURNING id

-- name: release_work
-- Give a leased job back as if it had not been taken.
UPDATE work SET state = 'queued', attempt = attempt - 1, available_at = now(), token = NULL, lease_until = NULL
WHERE id = $1 AND token = $2 AND state = 'leased'

-- name: overdue_work
-- Jobs that nobody will end any more: the first, up to that with which their orders reach 4 MB.
SELECT *, extract(epoch FROM deadline - now())::float8 AS seconds_left,
    extract(epoch FROM now() - queued_at)::float8 AS age, lost_seconds_now(work) AS lost,
    (SELECT e.traceparent FROM events e WHERE e.id = work.cause) AS traceparent
FROM work WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(octet_length(payload::text)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM work WHERE queue = ANY ($1) AND state IN ('queued', 'leased') AND is_overdue(work)
    ) AS counted WHERE before IS NULL OR before < 4000000)
ORDER BY id

-- name: reap_work
-- End an overdue job as failed; no row where it has been leased, prolonged or ended since it was seen.
UPDATE work SET state = 'failed', ended_at = now(), lease_until = NULL
WHERE id = $1 AND token IS NOT DISTINCT FROM $2 AND is_overdue(work) RETURNING id

-- name: cancel_work
-- End all open jobs of a campaign; their workers lose their leases.
UPDATE work SET state = 'cancelled', ended_at = now(), lease_until = NULL
WHERE campaign = $1 AND state IN ('queued', 'leased') RETURNING id

-- name: count_work
-- Jobs per queue and state, of as many as a page can show, those of services first.
SELECT queue, state, count(*) AS jobs FROM work GROUP BY queue, state
ORDER BY queue NOT IN (SELECT o.queue FROM queue_owners o), queue LIMIT 500

-- name: clock
-- The time, whatever a transaction says.
SELECT clock_timestamp()

-- name: set_progress
-- Overwrite the live progress of a subject.
INSERT INTO progress (campaign, subject, data) VALUES ($1, $2, $3)
ON CONFLICT (campaign, subject) DO UPDATE SET data = excluded.data, time = now()

-- name: progress
-- The live progress of a campaign: of the rows that were written last those of 4 MB.
SELECT subject, data FROM (
    SELECT subject, data, sum(octet_length(subject) + octet_length(data::text)) OVER (ORDER BY time DESC, subject) AS bytes
    FROM progress WHERE campaign = $1
) AS counted WHERE bytes < 4000000 ORDER BY subject
