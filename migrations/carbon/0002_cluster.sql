-- The cluster that the node belongs to; empty before it has joined one.
ALTER TABLE identity ADD COLUMN cluster_id TEXT NOT NULL DEFAULT '';
