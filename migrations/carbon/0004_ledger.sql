-- Whether plans were counted on this node: then broker.db holds what of them, and a node without it
-- has lost that.
ALTER TABLE identity ADD COLUMN has_counted INTEGER NOT NULL DEFAULT 0;
