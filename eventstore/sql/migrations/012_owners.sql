-- Each service queues, leases and ends the jobs of its own queues, and marks events as handled in its own name. Until now
-- every service could queue any job: whoever had one service's password could make another service run a job of his own.

CREATE TABLE queue_owners (
    queue text PRIMARY KEY,
    role  text NOT NULL
);

INSERT INTO queue_owners (queue, role) VALUES
    ('data', 'aevolve_data'),
    ('advise', 'aevolve_recipes'),
    ('train', 'aevolve_trainer'),
    ('score', 'aevolve_oracle'),
    ('board', 'aevolve_oracle'),
    ('fingerprints', 'aevolve_oracle');

GRANT SELECT ON queue_owners TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy,
    aevolve_console;

-- The login role cannot be chosen by the caller, also inside write_effects_v1. The owner of the database is not checked.
CREATE FUNCTION check_job() RETURNS trigger LANGUAGE plpgsql SET search_path = aevolve, pg_temp AS $$
DECLARE
    owner text := (SELECT o.role FROM queue_owners o WHERE o.queue = NEW.queue);
    cancels boolean := TG_OP = 'UPDATE' AND session_user = 'aevolve_console' AND NEW.state = 'cancelled';
BEGIN
    IF session_user NOT LIKE 'aevolve\_%' THEN
        RETURN NEW;
    END IF;
    IF owner <> session_user AND NOT cancels THEN
        RAISE EXCEPTION 'role % may not queue, lease or end jobs of queue %: it belongs to %', session_user, NEW.queue, owner
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'work_owner';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.id, NEW.queue, NEW.key, NEW.campaign, NEW.payload::text, NEW.priority, NEW.attempts,
                             NEW.deadline, NEW.cause, NEW.queued_at)
                        IS DISTINCT FROM
                            (OLD.id, OLD.queue, OLD.key, OLD.campaign, OLD.payload::text, OLD.priority, OLD.attempts,
                             OLD.deadline, OLD.cause, OLD.queued_at) THEN
        RAISE EXCEPTION 'what job % of queue % asks for cannot be changed; queue another job', NEW.key, NEW.queue
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'work_immutable';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER work_owner BEFORE INSERT OR UPDATE ON work FOR EACH ROW EXECUTE FUNCTION check_job();

-- A consumer that is called like a service belongs to it; other names are those of readers that no service listens to.
CREATE FUNCTION check_consumer() RETURNS trigger LANGUAGE plpgsql SET search_path = aevolve, pg_temp AS $$
BEGIN
    IF session_user LIKE 'aevolve\_%' AND session_user <> 'aevolve_' || NEW.consumer
       AND EXISTS (SELECT FROM writers w WHERE w.role = 'aevolve_' || NEW.consumer) THEN
        RAISE EXCEPTION 'role % may not handle events in the name of %', session_user, NEW.consumer
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'consumer_owner';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER inbox_owner BEFORE INSERT OR UPDATE ON inbox FOR EACH ROW EXECUTE FUNCTION check_consumer();
CREATE TRIGGER checkpoints_owner BEFORE INSERT OR UPDATE ON checkpoints FOR EACH ROW EXECUTE FUNCTION check_consumer();
