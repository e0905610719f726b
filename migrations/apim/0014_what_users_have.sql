-- Whatever bears a user's name goes when the user goes, and before a namesake comes.
CREATE INDEX access_tokens_user ON access_tokens (tenant, username);
CREATE INDEX refresh_tokens_user ON refresh_tokens (tenant, username);
CREATE INDEX api_keys_owner ON api_keys (tenant, owner);
