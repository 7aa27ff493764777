-- What the app is to be told by webhook, until it has answered.
CREATE TABLE notices (
    id         TEXT PRIMARY KEY,
    file       TEXT NOT NULL REFERENCES jobs (file),
    body       TEXT NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    last_error TEXT,
    -- When it was settled: taken by the app, or given up (then last_error says why).
    settled_at INTEGER
) STRICT;

CREATE INDEX notices_due ON notices (next_at) WHERE settled_at IS NULL;

-- When the app said that it has the file for good, by its answer to the webhook or by its own call.
ALTER TABLE deliveries ADD COLUMN acknowledged_at INTEGER;
-- When the file was deleted here and at the edge.
ALTER TABLE deliveries ADD COLUMN deleted_at INTEGER;

CREATE INDEX deliveries_kept ON deliveries (acknowledged_at) WHERE deleted_at IS NULL;
