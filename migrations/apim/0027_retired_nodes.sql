-- Nodes that an operator has forgotten (headgate cluster forget): nobody of the control plane renews their certificates
CREATE TABLE retired_nodes (
    node_id TEXT NOT NULL PRIMARY KEY,
    retired_ms BIGINT NOT NULL
);
