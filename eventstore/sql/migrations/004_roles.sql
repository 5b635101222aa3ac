-- One role per service, with the least it needs. Roles belong to the whole server, so another database may have made
-- them already; `provision` lets them log in.

DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['data', 'recipes', 'trainer', 'oracle', 'policy', 'console'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aevolve_' || service) THEN
            EXECUTE format('CREATE ROLE %I', 'aevolve_' || service);
        END IF;
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION append_events_v1 FROM PUBLIC;

GRANT USAGE ON SCHEMA aevolve
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
GRANT SELECT ON ALL TABLES IN SCHEMA aevolve
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
GRANT EXECUTE ON FUNCTION append_events_v1
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
GRANT INSERT ON inbox
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;
GRANT INSERT, UPDATE ON checkpoints, relay_cursors
    TO aevolve_data, aevolve_recipes, aevolve_trainer, aevolve_oracle, aevolve_policy, aevolve_console;

-- Those that queue and do long work, and the console, which cancels it.
GRANT INSERT, UPDATE ON work, progress TO aevolve_data, aevolve_trainer, aevolve_oracle;
GRANT UPDATE ON work TO aevolve_console;
