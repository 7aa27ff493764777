-- How often a process has taken the job into its hands. SQLite has one process and leaves it at 0.
ALTER TABLE jobs ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
