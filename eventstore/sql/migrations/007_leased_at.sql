-- When a lease began: a lease that was prolonged for very long is a job that hangs.

ALTER TABLE work ADD COLUMN leased_at timestamptz;
