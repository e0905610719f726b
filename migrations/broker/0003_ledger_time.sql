-- The highest time that the ledger counted by, as far as it was noted: a start never goes behind it.
ALTER TABLE ledger_state ADD COLUMN t_ms BIGINT NOT NULL DEFAULT 0;
