-- Whoever shows Prometheus what the log says (`aevolve exporter`) reads the log and how its readers keep up, and writes nothing:
-- its page is open to whoever reaches it. `provision` lets the role log in.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aevolve_exporter') THEN
        CREATE ROLE aevolve_exporter;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA aevolve TO aevolve_exporter;
GRANT SELECT ON events, log_head, checkpoints, relay_cursors TO aevolve_exporter;
GRANT SELECT (queue, state, lease_until, queued_at, available_at, leased_at) ON work TO aevolve_exporter;
