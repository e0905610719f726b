CREATE TABLE applications (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    owner TEXT NOT NULL,
    throttling_policy TEXT NOT NULL,
    token_type TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    attributes TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    row_version BIGINT NOT NULL
);
CREATE UNIQUE INDEX applications_name ON applications (tenant, owner, name_key);
-- An application's keys: which OAuth2 client serves it for production or sandbox.
CREATE TABLE application_keys (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    application_id TEXT NOT NULL,
    key_type TEXT NOT NULL,
    key_manager TEXT NOT NULL,
    consumer_key TEXT NOT NULL,
    -- additionalProperties of the contract, a JSON object
    properties TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX application_keys_type ON application_keys (application_id, key_type, key_manager);
CREATE UNIQUE INDEX application_keys_consumer ON application_keys (consumer_key);
