-- name: create_plain
-- What an effect needs at the least: tables with the keys that its promises rest on, without order, chain or rights.
CREATE TABLE inbox (consumer text, event uuid, handled_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, event));
CREATE TABLE events (
    position bigserial PRIMARY KEY, id uuid NOT NULL UNIQUE, campaign text NOT NULL, stream text NOT NULL, type text NOT NULL,
    causation uuid, time timestamptz NOT NULL DEFAULT now(), data json NOT NULL);
CREATE TABLE work (
    id bigserial PRIMARY KEY, queue text NOT NULL, key text NOT NULL, campaign text NOT NULL, payload json NOT NULL,
    UNIQUE (queue, key))

-- name: plain_claim
-- The event has been handled.
INSERT INTO inbox (consumer, event) VALUES ($1, $2)

-- name: plain_queue
-- A job is due.
INSERT INTO work (queue, key, campaign, payload) VALUES ($1, $2, $3, $4)

-- name: plain_append
-- An event happened.
INSERT INTO events (id, campaign, stream, type, causation, data) VALUES ($1, $2, $3, $4, $5, $6)

-- name: hashing_functions
-- The functions that write the log, as the statements that made them: those that chain its hashes.
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'aevolve'::regnamespace AND prokind = 'f' AND prosrc LIKE '%chain(previous,%'

-- name: tidy
-- Leave nothing for the autovacuum to do while something is measured.
VACUUM (ANALYZE) aevolve.events
