-- How far this node may grant as the one that decides alone on views of traffic managers, as API-M has it (W3).
CREATE TABLE hold (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    reach_ms BIGINT NOT NULL
);
