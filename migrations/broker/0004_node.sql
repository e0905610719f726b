-- Whose queue and marks these are, and in which start they were last used.
CREATE TABLE node (
    id BIGINT NOT NULL PRIMARY KEY,
    node_id TEXT NOT NULL,
    incarnation BIGINT NOT NULL
);
