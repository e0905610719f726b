-- What this node has promised as a voter of the agreed view: the epoch it is sealed at, and the highest time it fenced.
CREATE TABLE voter (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    promises TEXT NOT NULL
);
