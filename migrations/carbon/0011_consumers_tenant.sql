-- Whose client it is. Before there was but one tenant.
ALTER TABLE consumers ADD COLUMN tenant TEXT NOT NULL DEFAULT 'carbon.super';
