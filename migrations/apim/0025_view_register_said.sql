-- Whoever holds the view register and is given up by an operator may have gone on after it said last that it is there (W3).
-- the T in which it said so, milliseconds
ALTER TABLE view_register ADD COLUMN said_ms BIGINT NOT NULL DEFAULT 0;
-- when that was by the clock that all who use this database go by; 0 of one that has not said so since this migration
ALTER TABLE view_register ADD COLUMN said_at_ms BIGINT NOT NULL DEFAULT 0;
