-- Immutable versions of API metadata; rows of API-M point at them (C5).
CREATE TABLE blobs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX blobs_created ON blobs (created_at_ms);
