-- OAuth2 clients. Secrets are 256 random bits, so one SHA-256 hides them; shown once.
CREATE TABLE oauth_clients (
    consumer_key TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    -- separated by spaces
    grant_types TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    -- JWT or OAUTH
    token_type TEXT NOT NULL,
    -- seconds; none for the key manager's default
    access_token_seconds BIGINT,
    refresh_token_seconds BIGINT,
    created_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX oauth_clients_name ON oauth_clients (tenant, owner, name);
-- Opaque access tokens, known by their hash alone.
CREATE TABLE access_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    consumer_key TEXT NOT NULL,
    session TEXT NOT NULL,
    username TEXT NOT NULL,
    user_type TEXT NOT NULL,
    scopes TEXT NOT NULL,
    issued_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX access_tokens_expiry ON access_tokens (expires_at_ms);
CREATE INDEX access_tokens_client ON access_tokens (consumer_key);
-- Refresh tokens; used ones are kept to their end, so that a replay is seen and ends the session.
CREATE TABLE refresh_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    consumer_key TEXT NOT NULL,
    session TEXT NOT NULL,
    username TEXT NOT NULL,
    scopes TEXT NOT NULL,
    used BIGINT NOT NULL,
    issued_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at_ms);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session);
-- Revocations that are not over yet (S4): token_id is a jti or the hash of an opaque token.
CREATE TABLE revoked_tokens (
    tenant TEXT NOT NULL,
    issuer TEXT NOT NULL,
    token_id TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, issuer, token_id)
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at_ms);
-- Issued-before marks (S4): subject is user, application, client or session.
CREATE TABLE issued_before_marks (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    before_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, subject, subject_id)
);
CREATE INDEX issued_before_marks_until ON issued_before_marks (until_ms);
