CREATE TABLE link (id TEXT PRIMARY KEY, row TEXT NOT NULL);
-- How often all that is known of a link has changed.
CREATE TABLE revision (link TEXT PRIMARY KEY, n BIGINT NOT NULL);
CREATE TABLE upload (
    link TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (link, id)
);
CREATE TABLE event (
    link TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (link, id)
);
CREATE TABLE cleanup (
    link TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (link, id)
);
CREATE TABLE part (
    upload TEXT NOT NULL, n INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (upload, n)
);
CREATE TABLE stage (
    upload TEXT NOT NULL, n INTEGER NOT NULL, "offset" BIGINT NOT NULL, bytes BYTEA NOT NULL,
    PRIMARY KEY (upload, n, "offset")
);
CREATE TABLE alarm (
    link TEXT PRIMARY KEY, at BIGINT NOT NULL,
    rest_until BIGINT NOT NULL DEFAULT 0, claimed_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX alarm_at ON alarm (at);
CREATE TABLE list (
    app TEXT NOT NULL, shard INTEGER NOT NULL, created_at BIGINT NOT NULL, id TEXT NOT NULL,
    subject TEXT, version BIGINT NOT NULL, row TEXT NOT NULL,
    PRIMARY KEY (app, shard, created_at, id)
);
CREATE TABLE endpoint (app TEXT PRIMARY KEY, disabled_at BIGINT NOT NULL);
-- Which request may add to a part, whichever node it reached.
CREATE TABLE turn (
    upload TEXT NOT NULL, n INTEGER NOT NULL, holder BIGINT NOT NULL, until BIGINT NOT NULL,
    PRIMARY KEY (upload, n)
);
-- Which nodes have bytes of an upload in memory.
CREATE TABLE lease (
    upload TEXT NOT NULL, n INTEGER NOT NULL, holder BIGINT NOT NULL, node BIGINT NOT NULL,
    asked BOOLEAN NOT NULL, until BIGINT NOT NULL,
    PRIMARY KEY (upload, n, holder)
);
CREATE INDEX lease_node ON lease (node);
