-- When a follower left in order. A registration of the same life that was on its way meanwhile, at another
-- node of the control plane, comes too late.
ALTER TABLE followers ADD COLUMN left_at_ms BIGINT;
