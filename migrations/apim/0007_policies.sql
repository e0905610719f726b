-- Throttling policies; the document is the policy as JSON.
CREATE TABLE policies (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    row_version BIGINT NOT NULL
);
CREATE UNIQUE INDEX policies_name ON policies (tenant, level, name);
CREATE TABLE deny_policies (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- the target as JSON; two policies may not deny the same
    target TEXT NOT NULL,
    active BIGINT NOT NULL
);
CREATE UNIQUE INDEX deny_policies_target ON deny_policies (tenant, kind, target);
