-- The view in which the ledger stopped in order: its marks say all only if nobody granted since.
ALTER TABLE ledger_state ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
