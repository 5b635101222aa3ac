-- What one service's password can still leave behind for the others: rows that fill the memory of whoever lists them, and a
-- broker's cursor beyond the log, with which no relay publishes any more. Checked for new rows and changes alone.

UPDATE work SET state = 'failed', ended_at = now(), lease_until = NULL
WHERE state IN ('queued', 'leased')
  AND (octet_length(payload::text) > 8000000 OR char_length(queue) > 100 OR char_length(worker) > 500)
  AND octet_length(payload::text) <= 50000000 AND char_length(campaign) <= 200 AND char_length(key) <= 500;

ALTER TABLE work
    ADD CONSTRAINT work_order CHECK (octet_length(payload::text) <= 8000000) NOT VALID,
    ADD CONSTRAINT work_worker CHECK (char_length(queue) <= 100 AND char_length(worker) <= 500) NOT VALID;

-- Queues of no service have figures after all others.
GRANT SELECT ON queue_owners TO aevolve_exporter;

UPDATE relay_cursors SET position = h.position FROM log_head h
WHERE relay_cursors.position NOT BETWEEN 0 AND h.position;
DELETE FROM relay_cursors WHERE char_length(incarnation) > 200;

ALTER TABLE relay_cursors
    ADD CONSTRAINT relay_cursors_name CHECK (char_length(incarnation) <= 200) NOT VALID;

CREATE FUNCTION check_cursor() RETURNS trigger LANGUAGE plpgsql SET search_path = aevolve, pg_temp AS $$
BEGIN
    IF session_user LIKE 'aevolve\_%' AND NEW.position NOT BETWEEN 0 AND (SELECT h.position FROM log_head h) THEN
        RAISE EXCEPTION 'no broker has been told of position %: the log does not reach it', NEW.position
            USING ERRCODE = 'check_violation', CONSTRAINT = 'relay_cursors_log';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER relay_cursors_log BEFORE INSERT OR UPDATE ON relay_cursors
    FOR EACH ROW EXECUTE FUNCTION check_cursor();
