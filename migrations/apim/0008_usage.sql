-- Usage by minute, and how far each gateway incarnation's events have been taken in (M4).
CREATE TABLE usage_minutes (
    minute_ms BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    api_id TEXT NOT NULL,
    application_id TEXT NOT NULL,
    status BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    forwarded BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    -- counts of the latency histogram, separated by commas
    latency TEXT NOT NULL,
    PRIMARY KEY (minute_ms, tenant, api_id, application_id, status)
);
CREATE TABLE usage_sources (
    node TEXT NOT NULL,
    incarnation BIGINT NOT NULL,
    -- every event up to this sequence is counted
    taken_sequence BIGINT NOT NULL,
    -- events that may have happened and are lost, known after a crash
    unknown_calls BIGINT NOT NULL,
    PRIMARY KEY (node, incarnation)
);
