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

-- name: last_writer
-- The session that called the append function last, in this database.
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%write_effects%' AND pid <> pg_backend_pid()
ORDER BY query_start DESC LIMIT 1

-- name: hashes
-- So many hashes over 640 bytes.
SELECT count(sha256(text.bytes)) FROM (SELECT convert_to(repeat('x', 634) || to_char(n, 'FM000000'), 'UTF8') AS bytes
                                       FROM generate_series(1, $1) n OFFSET 0) text
