-- Short windows that had begun by then are full: a run before the last orderly stop ended without a
-- word, and nobody knows what it granted in them.
ALTER TABLE ledger_state ADD COLUMN lost_ms BIGINT;
