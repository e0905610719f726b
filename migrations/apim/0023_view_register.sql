-- Who founded the view register (W3): of two logs neither would know of the other, so there is one founder, here.
CREATE TABLE view_register (
    id BIGINT NOT NULL PRIMARY KEY,
    -- how often it was founded; 0 before the first time
    generation BIGINT NOT NULL,
    -- the founder's stable id, its name, and the incarnation that claimed it last
    founder_id TEXT NOT NULL,
    founder_name TEXT NOT NULL,
    founder_life BIGINT NOT NULL,
    -- who founded the generation before; empty at the first
    before_id TEXT NOT NULL,
    -- 1 where no one disk has all that was counted before
    is_scattered BIGINT NOT NULL,
    -- 1 from before others own shards beside the founder; 2 from before others decide beside it, for ever
    others BIGINT NOT NULL
);

INSERT INTO view_register (id, generation, founder_id, founder_name, founder_life, before_id, is_scattered, others)
    VALUES (1, 0, '', '', 0, '', 0, 0);
