-- The longest life, in seconds, that tokens were ever to be given: a mark is kept as long, also after
-- the configuration has become shorter, since a token has its life from the one before.
CREATE TABLE token_lives (
    id BIGINT NOT NULL PRIMARY KEY,
    longest_seconds BIGINT NOT NULL
);

INSERT INTO token_lives (id, longest_seconds)
SELECT 1, COALESCE(MAX((expires_at_ms - issued_at_ms) / 1000 + 1), 0) FROM (
    SELECT issued_at_ms, expires_at_ms FROM access_tokens
    UNION ALL SELECT issued_at_ms, expires_at_ms FROM refresh_tokens
) AS issued;
