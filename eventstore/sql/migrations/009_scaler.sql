-- Whoever starts a worker for each open job counts them, and needs no more. `provision` lets the role log in.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aevolve_scaler') THEN
        CREATE ROLE aevolve_scaler;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA aevolve TO aevolve_scaler;
GRANT SELECT (queue, state) ON work TO aevolve_scaler;
