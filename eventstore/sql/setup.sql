-- name: lock_migrations
-- One migrator at a time in this database, until its session ends.
SELECT pg_advisory_lock(hashtextextended('aevolve migrations', 0))

-- name: create_migrations
-- Where the applied migrations are remembered.
CREATE SCHEMA IF NOT EXISTS aevolve;
CREATE TABLE IF NOT EXISTS aevolve.migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: applied_migrations
-- Names and hashes of the applied migrations.
SELECT name, sha256 FROM migrations

-- name: record_migration
-- Remember an applied migration.
INSERT INTO migrations (name, sha256) VALUES ($1, $2)

-- name: forget_writers
-- Make room for the writers of this version of the code.
DELETE FROM writers

-- name: add_writer
-- Let a role write a type.
INSERT INTO writers (type, role) VALUES ($1, $2)

-- name: quote_login
-- The statement that lets a role log in by its password, with both safely quoted.
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)

-- name: role_limits
-- The limits of a role ($1) as they are, and how many sessions it may have: a share ($2) of the server's, at least $3.
SELECT r.rolconnlimit AS sessions,
       greatest($3::integer, floor(current_setting('max_connections')::integer * $2::float8)::integer) AS most,
       coalesce((SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0), '{}') AS settings,
       EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
               WHERE s.setrole = r.oid AND d.datname = current_database()) AS here
FROM pg_roles r WHERE r.rolname = $1

-- name: limit_database
-- Statements after which of our roles only the console, which rebuilds projections, makes temporary tables here.
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) AS statement
WHERE has_database_privilege('public', current_database(), 'TEMPORARY')
UNION ALL
SELECT format('GRANT TEMPORARY ON DATABASE %I TO aevolve_console', current_database())
WHERE NOT EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a
                  WHERE d.datname = current_database() AND a.privilege_type = 'TEMPORARY'
                    AND a.grantee = to_regrole('aevolve_console'))

-- name: quote_reset
-- The statement that takes a role's settings for this database away.
SELECT format('ALTER ROLE %I IN DATABASE %I RESET ALL', $1::text, current_database())
