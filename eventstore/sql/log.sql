-- name: append_events
-- Append one effect; rows come back in order.
SELECT * FROM append_events_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)

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

-- name: get_event
-- One event by its id.
SELECT * FROM events WHERE id = $1

-- name: campaigns
-- Every campaign in the order of their starts.
SELECT e.campaign, e.data #>> '{campaign,name}' AS name, e.time,
       (SELECT min(ending.type) FROM events ending
        WHERE ending.campaign = e.campaign AND ending.type IN ('CampaignFinished', 'CampaignStopped')) AS ending
FROM events e WHERE e.type = 'CampaignStarted' ORDER BY e.position
