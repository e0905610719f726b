-- The life of the node that a follower registered in (W1): what a former life still says, such as that it
-- goes, changes nothing about a later one.
ALTER TABLE followers ADD COLUMN incarnation BIGINT NOT NULL DEFAULT 0;
