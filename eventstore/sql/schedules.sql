-- name: schedules
-- Every start that was asked for and not done, and every schedule.
SELECT *, claimed_until IS NOT NULL AND claimed_until > now() AS busy FROM schedules ORDER BY id

-- name: add_schedule
-- Ask for a start, once or by a cron line; a null time means now.
INSERT INTO schedules (name, file, cron, asked_by, warm_from, next_at) VALUES ($1, $2, $3, $4, $5, coalesce($6, now()))
RETURNING id

-- name: drop_schedule
-- Forget a start; nothing happens to the campaigns that it has started.
DELETE FROM schedules WHERE id = $1

-- name: claim_schedule
-- Take the next start that is due, for so long. The campaign's id is fixed now, so a start that breaks off is not made
-- twice.
UPDATE schedules SET claimed_until = now() + $1::interval, starting = coalesce(starting, name || '-' || $2)
WHERE id = (SELECT id FROM schedules
            WHERE next_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
            ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *, now() AS now

-- name: keep_schedule
-- What came of a start, and when the next one is due; without a next time it waits for a person to look at it.
UPDATE schedules
SET claimed_until = NULL, starting = NULL, last = coalesce($2, last), warm_from = coalesce($2, warm_from), told = $3,
    next_at = $4
WHERE id = $1
