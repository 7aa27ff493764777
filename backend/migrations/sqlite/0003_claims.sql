-- Until when a process has the job in hand. SQLite has one process and leaves it at 0.
ALTER TABLE jobs ADD COLUMN claimed_until INTEGER NOT NULL DEFAULT 0;
