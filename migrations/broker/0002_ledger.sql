-- High-water marks of long windows (L5), and those of all windows after an orderly stop.
CREATE TABLE ledger_cells (
    shard BIGINT NOT NULL,
    -- the cell as JSON
    cell_key TEXT NOT NULL,
    -- the mark as JSON
    mark TEXT NOT NULL,
    window_end_ms BIGINT NOT NULL,
    PRIMARY KEY (shard, cell_key)
);
CREATE INDEX ledger_cells_end ON ledger_cells (window_end_ms);
CREATE TABLE ledger_state (
    id BIGINT NOT NULL PRIMARY KEY,
    -- 1 after an orderly stop: the cells are complete; 0 while running or after a crash
    clean BIGINT NOT NULL
);
