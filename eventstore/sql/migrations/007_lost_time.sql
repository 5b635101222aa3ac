-- Time in which a job's lease was held by workers that died without a word: it is charged with the job's next event.

ALTER TABLE work
    ADD COLUMN leased_at timestamptz,
    ADD COLUMN lost_seconds double precision NOT NULL DEFAULT 0;

CREATE FUNCTION lost_seconds_now(job work) RETURNS double precision STABLE LANGUAGE sql
    SET search_path FROM CURRENT
RETURN job.lost_seconds + CASE
    WHEN job.state = 'leased' AND job.lease_until <= now() AND job.leased_at IS NOT NULL
    THEN greatest(0, extract(epoch FROM job.lease_until - job.leased_at))::double precision
    ELSE 0 END;
