-- Long jobs, leased to one worker at a time, and their live progress.

CREATE TABLE work (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text NOT NULL,
    key          text NOT NULL,
    campaign     text NOT NULL,
    payload      json NOT NULL,
    priority     integer NOT NULL,
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'leased', 'done', 'failed', 'cancelled')),
    attempt      integer NOT NULL DEFAULT 0,
    attempts     integer NOT NULL,
    deadline     timestamptz,
    cause        uuid CONSTRAINT work_cause REFERENCES events (id),
    queued_at    timestamptz NOT NULL DEFAULT now(),
    available_at timestamptz NOT NULL DEFAULT now(),
    worker       text,
    -- A new token per lease: every write of a worker filters on it, so a worker that lost its lease changes nothing.
    token        uuid,
    lease_until  timestamptz,
    ended_at     timestamptz,
    CONSTRAINT work_key UNIQUE (queue, key)
);

CREATE INDEX work_next ON work (queue, priority DESC, id) WHERE state IN ('queued', 'leased');

CREATE INDEX work_open_campaign ON work (campaign) WHERE state IN ('queued', 'leased');

-- Whether nobody can be waiting for the job with reason: its deadline has passed, or its last try is over.
CREATE FUNCTION is_overdue(job work) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT job.state IN ('queued', 'leased')
       AND (coalesce(job.deadline <= now(), false)
            OR (job.attempt >= job.attempts AND (job.state = 'queued' OR job.lease_until <= now())))
$$;

-- Live loss and the like: overwritten, never an event.
CREATE TABLE progress (
    campaign text,
    subject  text,
    data     json NOT NULL,
    time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (campaign, subject)
);
