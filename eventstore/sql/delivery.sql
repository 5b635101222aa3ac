-- name: delivery
-- An event as recorded, and whether a consumer has handled it; no row for an event that is not in the log.
SELECT e.*, EXISTS (SELECT FROM inbox i WHERE i.consumer = $1 AND i.event = e.id) AS handled FROM events e WHERE e.id = $2

-- name: unhandled
-- The next events that a consumer has not handled, from its checkpoint on and after a position. (A value, where NOT EXISTS would read the same:
-- the planner, who does not know where the checkpoint is, would join the whole inbox.)
SELECT * FROM events e
WHERE e.position > greatest($4, (SELECT c.position FROM checkpoints c WHERE c.consumer = $1))
  AND e.type = ANY ($2)
  AND (SELECT i.event FROM inbox i WHERE i.consumer = $1 AND i.event = e.id) IS NULL
ORDER BY e.position LIMIT $3

-- name: advance
-- Move a checkpoint to just before the first unhandled event, else to the head: one statement, so one snapshot.
INSERT INTO checkpoints (consumer, position)
SELECT $1, coalesce(
    (SELECT e.position - 1 FROM events e
     WHERE e.position > coalesce((SELECT c.position FROM checkpoints c WHERE c.consumer = $1), 0)
       AND e.type = ANY ($2)
       AND (SELECT i.event FROM inbox i WHERE i.consumer = $1 AND i.event = e.id) IS NULL
     ORDER BY e.position LIMIT 1),
    (SELECT h.position FROM log_head h))
ON CONFLICT (consumer) DO UPDATE SET position = greatest(checkpoints.position, excluded.position)
RETURNING position

-- name: open_cursor
-- The cursor of a broker incarnation; a new one starts where every known consumer has been.
WITH opened AS (
    INSERT INTO relay_cursors (incarnation, position)
    SELECT $1, coalesce(min(position), 0) FROM checkpoints
    ON CONFLICT (incarnation) DO NOTHING RETURNING position)
SELECT position FROM opened
UNION ALL SELECT position FROM relay_cursors WHERE incarnation = $1

-- name: relax_commits
-- A cursor that a crash sets back by a moment publishes twice, which does no harm: it need not wait for the disk.
SET synchronous_commit = off

-- name: move_cursor
-- Everything up to the position has been published; never backwards.
UPDATE relay_cursors SET position = greatest(position, $2) WHERE incarnation = $1

-- name: lead_relay
-- Become the one relay of a broker incarnation, as long as this session lives.
SELECT lead_relay($1)

-- name: end_blockers
-- End the sessions that block others for too long; a row for each.
SELECT * FROM end_blockers()
