-- name: figure_positions
-- The last event, and how far the fullest broker has been told of the log; where there is no broker yet, not at all.
SELECT h.position AS head, coalesce((SELECT max(c.position) FROM relay_cursors c), 0) AS relayed FROM log_head h

-- name: figure_consumers
-- How many positions behind the log each consumer's checkpoint stands.
SELECT c.consumer, greatest(h.position - c.position, 0) AS lag FROM checkpoints c, log_head h ORDER BY c.consumer

-- name: figure_queues
-- Jobs by state of at most 100 queues, those of services first (any role may name others), and in seconds how long the
-- oldest has been waiting and the oldest lease is being held.
SELECT queue,
       count(*) FILTER (WHERE state = 'queued') AS queued,
       count(*) FILTER (WHERE state = 'leased' AND lease_until > now()) AS leased,
       count(*) FILTER (WHERE state = 'leased' AND lease_until <= now()) AS expired,
       count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
       coalesce(extract(epoch FROM max(now() - greatest(queued_at, available_at))
                    FILTER (WHERE state = 'queued' AND available_at <= now())), 0)::float8 AS waiting_seconds,
       coalesce(extract(epoch FROM max(now() - leased_at)
                    FILTER (WHERE state = 'leased' AND lease_until > now())), 0)::float8 AS lease_seconds
FROM work GROUP BY queue ORDER BY queue NOT IN (SELECT o.queue FROM queue_owners o), queue LIMIT 100
