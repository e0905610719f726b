-- Which database this is: nodes of one cluster share it (W6).
CREATE TABLE database_identity (
    id BIGINT NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL
);
-- The public halves of the keys that nodes sign tokens with, as JSON Web Keys: each checks the others'.
CREATE TABLE verification_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL,
    jwk TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL
);
