-- Who this node is, and the last known state that it restarts and serves from.
CREATE TABLE identity (
    id BIGINT NOT NULL PRIMARY KEY,
    node_id TEXT NOT NULL,
    node_name TEXT NOT NULL,
    incarnation BIGINT NOT NULL
);
CREATE TABLE applied (
    id BIGINT NOT NULL PRIMARY KEY,
    n BIGINT NOT NULL,
    uuid TEXT NOT NULL,
    applied_at_ms BIGINT NOT NULL
);
-- section: artifact, policy, deny_policy, revoked_token, mark, keys; body: JSON
CREATE TABLE projection (
    section TEXT NOT NULL,
    item TEXT NOT NULL,
    body TEXT NOT NULL,
    -- when it may be forgotten, milliseconds since the epoch; none for never
    until_ms BIGINT,
    PRIMARY KEY (section, item)
);
