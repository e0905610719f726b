-- Which database this is: nodes of one cluster share it (W6).
CREATE TABLE database_identity (
    id BIGINT NOT NULL PRIMARY KEY,
    uuid TEXT NOT NULL
);
