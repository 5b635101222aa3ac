-- No role of ours takes advisory locks or makes large objects: both fill the server's table of locks, without which nobody
-- appends. After a deploy: the relay of the version before takes its lock itself. The functions belong to a superuser; any
-- other owner is told what to ask one for.
DO $$
DECLARE
    forbidden text;
BEGIN
    FOR forbidden IN
        SELECT p.oid::regprocedure::text FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND (p.proname ~ '^pg_(try_)?advisory_' OR p.proname ~ '^lo_' OR p.proname IN ('loread', 'lowrite'))
          AND has_function_privilege('public', p.oid, 'EXECUTE')
    LOOP
        BEGIN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO CURRENT_USER', forbidden);  -- migrations take a lock, too
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', forbidden);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
        IF has_function_privilege('public', forbidden::regprocedure, 'EXECUTE') THEN
            RAISE WARNING 'any role may call %: let a superuser REVOKE EXECUTE ON FUNCTION % FROM PUBLIC, and GRANT it TO %',
                forbidden, forbidden, current_user;
        END IF;
    END LOOP;
END
$$;
