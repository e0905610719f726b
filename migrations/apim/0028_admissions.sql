-- How often a node was admitted with a token: whoever forgets it says how often that had been, so that a word which comes late forgets nobody who was admitted since
CREATE TABLE admissions (
    node_id TEXT NOT NULL PRIMARY KEY,
    times BIGINT NOT NULL
);
