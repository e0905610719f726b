-- APIs: the columns that lists and searches need; the rest lies in Shared as immutable blobs.
CREATE TABLE apis (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    version TEXT NOT NULL,
    context TEXT NOT NULL,
    -- context with its version: what two APIs may never share
    full_context TEXT NOT NULL,
    provider TEXT NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    is_default_version BIGINT NOT NULL,
    -- lower case, separated and enclosed by commas
    tags TEXT NOT NULL,
    document_blob TEXT NOT NULL,
    definition_blob TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    row_version BIGINT NOT NULL
);
CREATE UNIQUE INDEX apis_name ON apis (tenant, name_key, version);
CREATE UNIQUE INDEX apis_context ON apis (tenant, full_context);
CREATE INDEX apis_state ON apis (tenant, state);
CREATE TABLE api_revisions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    api_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    description TEXT NOT NULL,
    document_blob TEXT NOT NULL,
    definition_blob TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_revisions_number ON api_revisions (api_id, number);
CREATE TABLE api_deployments (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    api_id TEXT NOT NULL,
    revision_id TEXT NOT NULL,
    environment TEXT NOT NULL,
    vhost TEXT NOT NULL,
    display_on_devportal BIGINT NOT NULL,
    deployed_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_deployments_environment ON api_deployments (api_id, environment);
CREATE TABLE api_lifecycle (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    api_id TEXT NOT NULL,
    previous_state TEXT,
    post_state TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at_ms BIGINT NOT NULL
);
CREATE INDEX api_lifecycle_api ON api_lifecycle (api_id, changed_at_ms);
