-- How often a process has taken the job into its hands: a fencing token, which every write checks.
ALTER TABLE jobs ADD COLUMN lease BIGINT NOT NULL DEFAULT 0;
