CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    api_id TEXT NOT NULL,
    application_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    requested_policy TEXT NOT NULL,
    status TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX subscriptions_pair ON subscriptions (api_id, application_id);
CREATE INDEX subscriptions_application ON subscriptions (application_id);
