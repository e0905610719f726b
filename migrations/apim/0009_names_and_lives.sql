-- Names of policies are ASCII and differ by more than case, as those of APIs and applications do.
CREATE UNIQUE INDEX policies_name_key ON policies (tenant, level, lower(name));
-- Lives of a user's tokens and of identity tokens, seconds; none for the key manager's default.
ALTER TABLE oauth_clients ADD COLUMN user_token_seconds BIGINT;
ALTER TABLE oauth_clients ADD COLUMN id_token_seconds BIGINT;
-- The plans that an API offers, separated by commas: lists show them.
ALTER TABLE apis ADD COLUMN policies TEXT NOT NULL DEFAULT '';
