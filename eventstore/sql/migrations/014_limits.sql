-- No service's role can block the others for long. A role with UPDATE on a whole table may lock it against everybody;
-- with UPDATE on columns it may not. What remains are row locks, above all that of the counter row, which an open
-- transaction keeps after write_effects_v1: `end_blockers` ends such sessions. `eventstore/limits.py` has the limits
-- that belong to the roles themselves.

REVOKE UPDATE ON work, checkpoints, relay_cursors, progress
    FROM aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;

GRANT UPDATE (position) ON checkpoints
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
GRANT UPDATE (position) ON relay_cursors
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
GRANT UPDATE (data, time) ON progress
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle;
GRANT UPDATE (state, attempt, available_at, worker, token, lease_until, ended_at, leased_at, lost_seconds) ON work
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle;
GRANT UPDATE (state, lease_until, ended_at) ON work TO aevolve_console;

-- An owner who is no superuser may end a role's sessions, and see since when their transactions run, as its member.
DO $$
DECLARE
    name text;
    inherits text := CASE WHEN current_setting('server_version_num')::integer >= 160000
                          THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    FOR name IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'aevolve\_%' AND rolname <> current_user LOOP
        BEGIN
            EXECUTE format('GRANT %I TO CURRENT_USER', name) || inherits;
        EXCEPTION WHEN insufficient_privilege THEN  -- another owner has made the role
            RAISE WARNING 'end_blockers cannot end sessions of %: let its owner GRANT % TO %', name, name, current_user;
        END;
    END LOOP;
END
$$;

-- End the sessions of our roles in this database whose transaction is older than so many seconds and which
--   hold the counter row (or wait for it without a limit of their own: ours wait for 10 s),
--   hold a lock on a table of the log that conflicts with writing or reading it, or
--   block another session in any other way;
-- and those which keep migrations waiting, at any age: no service takes that lock.
-- A role can change its own timeouts, but not this. A row per ended session.
CREATE FUNCTION end_blockers_after(seconds double precision)
RETURNS TABLE (pid integer, role text, seconds_held double precision) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH ours AS MATERIALIZED (
        SELECT a.pid, a.usename::text AS role, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS age
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.usename LIKE 'aevolve\_%' AND a.pid <> pg_backend_pid()
    ), locks AS MATERIALIZED (
        SELECT * FROM pg_locks l WHERE EXISTS (SELECT FROM ours WHERE ours.age > seconds) OR l.locktype = 'advisory'
    ), blockers AS (
        SELECT l.pid, seconds AS least
        FROM locks l
        WHERE l.granted AND l.locktype = 'relation'
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          AND (l.relation = 'aevolve.log_head'::regclass AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
               OR l.relation IN (SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'aevolve'::regnamespace)
                  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
        UNION ALL
        SELECT unnest(pg_blocking_pids(l.pid)), seconds FROM locks l WHERE NOT l.granted
        UNION ALL
        SELECT l.pid, -1
        FROM locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 1
          AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('aevolve migrations', 0)
    ), ending AS MATERIALIZED (
        SELECT ours.* FROM ours WHERE EXISTS (SELECT FROM blockers b WHERE b.pid = ours.pid AND ours.age > b.least)
    )
    SELECT ending.pid, ending.role, ending.age FROM ending WHERE pg_terminate_backend(ending.pid);
END
$$;

-- The same as services call it: without an argument, so that none can end the others at will.
CREATE FUNCTION end_blockers() RETURNS TABLE (pid integer, role text, seconds_held double precision)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM aevolve.end_blockers_after(30)
$$;

REVOKE EXECUTE ON FUNCTION end_blockers_after, end_blockers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_blockers
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
