-- When the file's content, names, subject and metadata were erased here.
ALTER TABLE jobs ADD COLUMN erased_at BIGINT;
