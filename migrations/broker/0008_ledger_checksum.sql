-- Of the row as it was written; none where a build wrote it that knows no sums.
ALTER TABLE ledger_state ADD COLUMN checksum BIGINT;
CREATE TRIGGER ledger_state_written AFTER UPDATE OF clean, t_ms, lost_ms, epoch, begun ON ledger_state
WHEN NEW.checksum IS OLD.checksum
    AND (NEW.clean, NEW.t_ms, NEW.lost_ms, NEW.epoch, NEW.begun)
        IS NOT (OLD.clean, OLD.t_ms, OLD.lost_ms, OLD.epoch, OLD.begun)
BEGIN
    UPDATE ledger_state SET checksum = NULL WHERE id = NEW.id;
END;
