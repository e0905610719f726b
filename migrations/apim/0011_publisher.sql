-- What searches compare, in lower case as Unicode has it (SQLite lowers ASCII alone); none in rows of before, until
-- their next change.
ALTER TABLE apis ADD COLUMN version_key TEXT;
ALTER TABLE apis ADD COLUMN provider_key TEXT;
ALTER TABLE apis ADD COLUMN description_key TEXT;
-- Two APIs never share the path that the default version answers at.
CREATE INDEX apis_unversioned ON apis (tenant, REPLACE(LOWER(context), '/{version}', ''));
-- The number of the last revision ever made: no number comes twice.
ALTER TABLE apis ADD COLUMN revisions_made BIGINT NOT NULL DEFAULT 0;
UPDATE apis SET revisions_made = COALESCE((SELECT MAX(number) FROM api_revisions
    WHERE api_revisions.api_id = apis.id), 0);
-- The steps of an API's lifecycle in the order in which they were taken, whatever the clock said.
ALTER TABLE api_lifecycle ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
UPDATE api_lifecycle SET position = (SELECT COUNT(*) FROM api_lifecycle AS earlier
    WHERE earlier.api_id = api_lifecycle.api_id AND (earlier.changed_at_ms < api_lifecycle.changed_at_ms
        OR (earlier.changed_at_ms = api_lifecycle.changed_at_ms AND earlier.id <= api_lifecycle.id)));
CREATE UNIQUE INDEX api_lifecycle_position ON api_lifecycle (api_id, position);
-- Tenants that have had the policies they start with: one that is removed later stays away.
INSERT INTO meta (name, value) SELECT DISTINCT 'policies of ' || tenant, '' FROM policies;
