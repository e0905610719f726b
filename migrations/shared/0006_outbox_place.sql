-- Changes of one commit are relayed in the order they were given, whatever their ids.
ALTER TABLE outbox ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
