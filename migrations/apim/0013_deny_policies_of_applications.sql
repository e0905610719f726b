-- The application that a deny policy names: it holds whatever the application is called later.
ALTER TABLE deny_policies ADD COLUMN application_id TEXT;
-- Those of today by the name in their target; one that is spelt in another way than ASCII case
-- tells apart goes on being compared by its name.
UPDATE deny_policies SET application_id = (
    SELECT MIN(a.id) FROM applications a
    WHERE a.tenant = deny_policies.tenant
    AND lower('{"Application":"' || a.owner || ':' || a.name || '"}') = lower(deny_policies.target)
) WHERE kind = 'APPLICATION';
CREATE INDEX deny_policies_application ON deny_policies (tenant, application_id);
