-- Roles that a node may have which joins by a token, separated by commas; empty for any.
ALTER TABLE join_tokens ADD COLUMN roles TEXT NOT NULL DEFAULT '';
