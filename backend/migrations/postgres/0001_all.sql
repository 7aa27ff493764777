-- Times are milliseconds since 1970-01-01T00:00:00Z. Ids are in their text form.

-- What the edge told us, once per event id.
CREATE TABLE events (
    id          TEXT PRIMARY KEY,
    link        TEXT NOT NULL,
    body        TEXT NOT NULL,
    received_at BIGINT NOT NULL
);

-- One row per file: how far it is through the pipeline. Never deleted, so that a file is
-- delivered once even if it is announced by a second event.
CREATE TABLE jobs (
    file        TEXT PRIMARY KEY,
    event       TEXT NOT NULL REFERENCES events (id),
    link        TEXT NOT NULL,
    -- The edge's word about the file and its link, as JSON.
    announced   TEXT NOT NULL,
    -- fetch, convert, deliver; done and parked are final.
    stage       TEXT NOT NULL,
    -- Failed tries of this stage.
    attempts    BIGINT NOT NULL DEFAULT 0,
    -- How often what was fetched was not what was announced.
    mismatches  BIGINT NOT NULL DEFAULT 0,
    -- Conversions begun and not ended: each is one crash of this process.
    crashes     BIGINT NOT NULL DEFAULT 0,
    next_at     BIGINT NOT NULL,
    -- Version that the partly fetched file is of.
    etag        TEXT,
    -- What conversion made, as JSON.
    product     TEXT,
    last_error  TEXT,
    -- Why it is parked, in words for the chat-app user.
    reason      TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE INDEX jobs_due ON jobs (next_at) WHERE stage NOT IN ('done', 'parked');
CREATE INDEX jobs_of_link ON jobs (link, created_at);

-- Receipts for the edge, until it has them. Sent per file in order of `rank`.
CREATE TABLE receipts (
    file       TEXT NOT NULL REFERENCES jobs (file),
    rank       BIGINT NOT NULL,
    body       TEXT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    next_at    BIGINT NOT NULL,
    last_error TEXT,
    -- When it was settled: taken by the edge, or given up (then last_error says why).
    settled_at BIGINT,
    PRIMARY KEY (file, rank)
);

CREATE INDEX receipts_due ON receipts (file, rank) WHERE settled_at IS NULL;

-- Files that the first app has.
CREATE TABLE deliveries (
    file         TEXT PRIMARY KEY REFERENCES jobs (file),
    link         TEXT NOT NULL,
    product      TEXT NOT NULL,
    received_as  TEXT NOT NULL,
    delivered_at BIGINT NOT NULL
);

CREATE INDEX deliveries_newest ON deliveries (delivered_at);
CREATE INDEX deliveries_of_link ON deliveries (link, delivered_at);

-- The live stream, in order. `seq` is the id of the server-sent event.
CREATE TABLE feed (
    seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    link TEXT NOT NULL,
    -- The file's id, or the link's for what concerns the whole link.
    of   TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (of, kind)
);

CREATE INDEX feed_of_link ON feed (link, seq);

-- Links that the first app asked for here.
CREATE TABLE requests (
    link       TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- What the app is to be told by webhook, until it has answered.
CREATE TABLE notices (
    id         TEXT PRIMARY KEY,
    file       TEXT NOT NULL REFERENCES jobs (file),
    body       TEXT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    next_at    BIGINT NOT NULL,
    last_error TEXT,
    -- When it was settled: taken by the app, or given up (then last_error says why).
    settled_at BIGINT
);

CREATE INDEX notices_due ON notices (next_at) WHERE settled_at IS NULL;

-- When the app said that it has the file for good, by its answer to the webhook or by its own call.
ALTER TABLE deliveries ADD COLUMN acknowledged_at BIGINT;
-- When the file was deleted here and at the edge.
ALTER TABLE deliveries ADD COLUMN deleted_at BIGINT;

CREATE INDEX deliveries_kept ON deliveries (acknowledged_at) WHERE deleted_at IS NULL;

-- Until when a process has the job in hand.
ALTER TABLE jobs ADD COLUMN claimed_until BIGINT NOT NULL DEFAULT 0;
