-- API-bound opaque keys, known by their hash alone.
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    key_type TEXT NOT NULL,
    api_id TEXT NOT NULL,
    application_id TEXT,
    owner TEXT NOT NULL,
    -- separated by commas; empty for all
    permitted_ips TEXT NOT NULL,
    permitted_referers TEXT NOT NULL,
    issued_at_ms BIGINT NOT NULL,
    -- seconds; -1 for a key without end
    validity_seconds BIGINT NOT NULL,
    last_used_at_ms BIGINT
);
CREATE UNIQUE INDEX api_keys_hash ON api_keys (key_hash);
CREATE UNIQUE INDEX api_keys_name ON api_keys (api_id, owner, name);
CREATE INDEX api_keys_application ON api_keys (application_id);
