-- The issuer of the cluster's tokens, as the nodes of the control plane said it last: for a start without
-- them. Empty before any has.
ALTER TABLE identity ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
