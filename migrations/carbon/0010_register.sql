-- What this node has promised as a voter of the view register: once it is here it holds, whatever happens.
CREATE TABLE register (
    id BIGINT NOT NULL PRIMARY KEY,
    -- of these tables; a later one is not read by this version
    format BIGINT NOT NULL,
    -- whose it is: a copy of another node's or of another cluster's is no promise of this one
    cluster_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    -- empty before there is one
    vote BYTEA NOT NULL,
    committed BYTEA NOT NULL,
    purged BYTEA NOT NULL,
    -- the entries that there are: from the first up to the one before the next
    first_entry BIGINT NOT NULL,
    next_entry BIGINT NOT NULL,
    -- of the snapshot; 0 before there is one
    snapshot_checksum BIGINT NOT NULL,
    -- of all the above
    checksum BIGINT NOT NULL
);
CREATE TABLE register_entries (
    n BIGINT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL,
    checksum BIGINT NOT NULL
);
CREATE TABLE register_snapshot (
    id BIGINT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL
);
