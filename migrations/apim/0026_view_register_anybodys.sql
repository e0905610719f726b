-- Those that decide on views may be given up all together by an operator; the founder's name stays what it is (W3).
-- 1 where whoever has an empty register may found it anew
ALTER TABLE view_register ADD COLUMN is_anybodys BIGINT NOT NULL DEFAULT 0;

-- Before, that was a row without the name
UPDATE view_register SET is_anybodys = 1 WHERE generation > 0 AND founder_name = '';
