-- The change log (C1, C2). The one row of change_head serialises committers.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE change_head (
    id BIGINT NOT NULL PRIMARY KEY,
    n BIGINT NOT NULL
);
INSERT INTO change_head (id, n) VALUES (1, 0);
CREATE TABLE change_log (
    n BIGINT NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL,
    kind TEXT NOT NULL,
    tenant TEXT NOT NULL,
    payload TEXT NOT NULL,
    -- id of the outbox row in Shared that this entry relays (C5); none for entries of API-M itself
    source TEXT,
    at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX change_log_source ON change_log (source);
