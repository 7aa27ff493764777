-- The archive that a file is a member of.
ALTER TABLE jobs ADD COLUMN archive TEXT;
-- Of a member its place in the archive, from 1; of joined files how many uploads there are.
ALTER TABLE jobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
-- The files that are joined, in order, as JSON, if this is what they are joined to.
ALTER TABLE jobs ADD COLUMN parts TEXT;
-- How often the job was taken up again by hand.
ALTER TABLE jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;

CREATE INDEX jobs_of_archive ON jobs (archive) WHERE archive IS NOT NULL;
