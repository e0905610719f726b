-- Which version answers without a version in the path. The one that is wanted (is_default_version) takes over when it
-- is deployed and published; until then the one before it goes on.
ALTER TABLE apis ADD COLUMN serves_default BIGINT NOT NULL DEFAULT 0;
UPDATE apis SET serves_default = 1 WHERE is_default_version = 1
    AND EXISTS (SELECT 1 FROM api_deployments WHERE api_deployments.api_id = apis.id);
