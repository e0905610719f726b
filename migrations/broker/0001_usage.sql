-- Usage on its way to API-M. A batch is counted once: it leaves in the order of its sequences.
CREATE TABLE usage_batches (
    incarnation BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    first_sequence BIGINT NOT NULL,
    -- counts per minute, API, application and status as JSON
    counts TEXT NOT NULL,
    PRIMARY KEY (incarnation, last_sequence)
);
-- Sequences up to `reserved` may have been used by an incarnation; what is not in a batch when it
-- ends without a word is unknown.
CREATE TABLE usage_reservations (
    incarnation BIGINT NOT NULL PRIMARY KEY,
    reserved BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    closed BIGINT NOT NULL,
    dropped BIGINT NOT NULL
);
