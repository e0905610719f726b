-- Which roles may get which scope of an API, as each version of its document says (C5): immutable, and the row of
-- API-M says which version counts. What was kept before named no version; such scopes are nobody's until their API
-- is saved again.
DROP TABLE scope_roles;
CREATE TABLE scope_roles (
    tenant TEXT NOT NULL,
    api_id TEXT NOT NULL,
    -- id of the document's blob
    version TEXT NOT NULL,
    scope TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (version, scope, role)
);
CREATE INDEX scope_roles_scope ON scope_roles (tenant, scope);
