-- Of the rows as they were written; none where a build wrote them that knows no sums.
ALTER TABLE voter ADD COLUMN checksum BIGINT;
CREATE TRIGGER voter_written AFTER UPDATE OF promises ON voter
WHEN NEW.checksum IS OLD.checksum AND NEW.promises IS NOT OLD.promises
BEGIN
    UPDATE voter SET checksum = NULL WHERE id = NEW.id;
END;
ALTER TABLE hold ADD COLUMN checksum BIGINT;
CREATE TRIGGER hold_written AFTER UPDATE OF reach_ms ON hold
WHEN NEW.checksum IS OLD.checksum AND NEW.reach_ms IS NOT OLD.reach_ms
BEGIN
    UPDATE hold SET checksum = NULL WHERE id = NEW.id;
END;
