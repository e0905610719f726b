-- High-water marks of long windows (L5) and the cells of short ones after an orderly stop.
CREATE TABLE ledger_cells (
    shard BIGINT NOT NULL,
    cell_key TEXT NOT NULL,
    window_number BIGINT NOT NULL,
    window_end_ms BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    PRIMARY KEY (shard, cell_key)
);
CREATE INDEX ledger_cells_end ON ledger_cells (window_end_ms);
CREATE TABLE ledger_state (
    id BIGINT NOT NULL PRIMARY KEY,
    -- 1 after an orderly stop: the cells are complete; 0 while running or after a crash
    clean BIGINT NOT NULL,
    -- the highest T that a grant may have been made at, milliseconds since the epoch
    fenced_ms BIGINT NOT NULL
);
