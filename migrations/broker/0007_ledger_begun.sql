-- The view that this file took part in first: of what was granted before that it has nothing, whatever the node had in
-- a file that this one replaces.
ALTER TABLE ledger_state ADD COLUMN begun BIGINT;
