-- Tokens by which other nodes may join, until they are used or their time ends: only hashes of their
-- secrets.
CREATE TABLE join_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);
