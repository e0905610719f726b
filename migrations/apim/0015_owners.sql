-- What searches compare, in lower case as Unicode has it (SQLite lowers ASCII alone); none in rows of before.
ALTER TABLE applications ADD COLUMN owner_key TEXT;
