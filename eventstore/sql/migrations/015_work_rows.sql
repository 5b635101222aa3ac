-- A row of a queue or of the progress is one that every reader can hold, and an ended job stays ended. Until now a
-- service's password could queue a row with a date that Python has no form for, which ended each worker that read it, or
-- have a job done again. Checked for new rows and changes alone.

ALTER TABLE work
    ADD CONSTRAINT work_size CHECK (octet_length(payload::text) <= 50000000) NOT VALID,
    ADD CONSTRAINT work_names CHECK (char_length(campaign) <= 200 AND char_length(key) <= 500) NOT VALID,
    ADD CONSTRAINT work_tries CHECK (attempt >= 0) NOT VALID,
    ADD CONSTRAINT work_lost CHECK (lost_seconds BETWEEN 0 AND 1000000000) NOT VALID,
    ADD CONSTRAINT work_times CHECK (
        coalesce(deadline, queued_at) BETWEEN '1970-01-01Z' AND '9999-12-31Z'
        AND queued_at BETWEEN '1970-01-01Z' AND '9999-12-31Z'
        AND available_at BETWEEN '1970-01-01Z' AND '9999-12-31Z'
        AND coalesce(lease_until, queued_at) BETWEEN '1970-01-01Z' AND '9999-12-31Z'
        AND coalesce(leased_at, queued_at) BETWEEN '1970-01-01Z' AND '9999-12-31Z'
        AND coalesce(ended_at, queued_at) BETWEEN '1970-01-01Z' AND '9999-12-31Z') NOT VALID;

ALTER TABLE progress
    ADD CONSTRAINT progress_size CHECK (octet_length(data::text) <= 1000000) NOT VALID,
    ADD CONSTRAINT progress_object CHECK (json_typeof(data) = 'object') NOT VALID,
    ADD CONSTRAINT progress_names CHECK (char_length(campaign) <= 200 AND char_length(subject) <= 500) NOT VALID;

CREATE FUNCTION check_end() RETURNS trigger LANGUAGE plpgsql SET search_path = aevolve, pg_temp AS $$
BEGIN
    IF session_user LIKE 'aevolve\_%' AND OLD.state IN ('done', 'failed', 'cancelled') THEN
        RAISE EXCEPTION 'job % of queue % has ended as %; queue another job', OLD.key, OLD.queue, OLD.state
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'work_ended';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER work_ended BEFORE UPDATE ON work FOR EACH ROW EXECUTE FUNCTION check_end();
