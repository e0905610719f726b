-- What key managers said about whom tokens are issued to, for when none of them answers; never a token.
CREATE TABLE consumers (
    consumer_key TEXT NOT NULL PRIMARY KEY,
    -- empty for a client that serves no application
    application_id TEXT NOT NULL,
    -- the number of the change log at which it was true
    n BIGINT NOT NULL,
    body TEXT NOT NULL,
    -- when it was said last, milliseconds since the epoch
    said_at_ms BIGINT NOT NULL
);
CREATE INDEX consumers_by_application ON consumers (application_id);
CREATE INDEX consumers_by_age ON consumers (said_at_ms);
