-- Who has to apply a change before it counts (S1): gateways and traffic managers, by the name they
-- follow the change log under. One that was silent for long is fenced: nobody waits for it, and it
-- has to register again before it may serve.
CREATE TABLE followers (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    registered_at_ms BIGINT NOT NULL,
    fenced_at_ms BIGINT
);
