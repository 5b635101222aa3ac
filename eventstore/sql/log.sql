-- name: write_effects
-- Write a batch of effects; a row per event, or per refused effect.
SELECT * FROM write_effects_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)

-- name: head
-- Position of the last event; 0 where there is none.
SELECT position FROM log_head

-- name: read_log
-- One page of the whole log after a position.
SELECT * FROM events
WHERE position > $1 AND ($2::text[] IS NULL OR type = ANY ($2))
ORDER BY position LIMIT $3

-- name: read_campaign
-- One page of a campaign after a position.
SELECT * FROM events
WHERE position > $1 AND ($2::text[] IS NULL OR type = ANY ($2)) AND campaign = $4
ORDER BY position LIMIT $3

-- name: read_stream
-- One page of a stream after a position; its versions rise with its positions.
SELECT * FROM events
WHERE position > $1 AND ($2::text[] IS NULL OR type = ANY ($2)) AND stream = $4 AND ($5::text IS NULL OR campaign = $5)
ORDER BY stream_version LIMIT $3

-- name: get_event
-- One event by its id.
SELECT * FROM events WHERE id = $1

-- name: get_events
-- Events by their ids, in log order.
SELECT * FROM events WHERE id = ANY ($1) ORDER BY position

-- name: campaigns
-- Every campaign in the order of their starts; a name is at most as long as that of a campaign's file.
SELECT e.campaign, left(as_jsonb(e.data) #>> '{campaign,name}', 100) AS name, e.time,
       (SELECT min(ending.type) FROM events ending
        WHERE ending.campaign = e.campaign AND ending.type IN ('CampaignFinished', 'CampaignStopped')) AS ending
FROM events e WHERE e.type = 'CampaignStarted' ORDER BY e.position

-- name: recorded_head
-- Position and hash of the last event, as the counter row has them.
SELECT position, hash FROM log_head

-- name: recorded
-- One page of the log as recorded, for the hash chain. A time that Python cannot hold has been tampered with, and stays
-- so when it is cut to what Python can hold.
SELECT position, id, campaign, stream, stream_version, type, version, source, causation, traceparent,
       greatest(least(time, '9999-12-31 23:59:59.999999Z'), '0001-01-01 00:00:00Z') AS time, data::text, hash
FROM events WHERE position >= $1 ORDER BY position LIMIT $2

-- name: lock_head
-- Keep all appends waiting until the transaction ends; position of the last event.
SELECT position FROM log_head FOR UPDATE

-- name: is_empty
-- Whether there is no event.
SELECT NOT EXISTS (SELECT FROM events)

-- name: set_head
-- Say what the last event is, after an import.
UPDATE log_head SET position = $1, hash = $2
