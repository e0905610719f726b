-- Who founded the view register and decides alone holds that for a while, and says again and again that it is there (W3).
-- how often it has said so
ALTER TABLE view_register ADD COLUMN renewals BIGINT NOT NULL DEFAULT 0;
-- the latest T in which it may grant, milliseconds
ALTER TABLE view_register ADD COLUMN reach_ms BIGINT NOT NULL DEFAULT 0;
-- the latest T in which those before it may have granted
ALTER TABLE view_register ADD COLUMN after_ms BIGINT NOT NULL DEFAULT 0;
-- for how long it goes on without having said so; 0 where nobody else can be it, for its database is a file of its own.
-- A founder of before this migration is taken for one that goes on for a day
ALTER TABLE view_register ADD COLUMN hold_ms BIGINT NOT NULL DEFAULT 86400000;
-- 1 where an operator said that it never runs again
ALTER TABLE view_register ADD COLUMN is_given_up BIGINT NOT NULL DEFAULT 0;
