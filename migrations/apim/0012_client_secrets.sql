-- A client that is registered again gets a new secret; the one before goes on for a while.
ALTER TABLE oauth_clients ADD COLUMN previous_secret_hash TEXT;
ALTER TABLE oauth_clients ADD COLUMN previous_secret_until_ms BIGINT;
-- Ending a session and removing a client look for their tokens.
CREATE INDEX access_tokens_session ON access_tokens (session);
CREATE INDEX refresh_tokens_client ON refresh_tokens (consumer_key);
