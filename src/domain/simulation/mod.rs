//! The seeded simulator (DESIGN §9): the same `step` functions as in production, driven through delays, losses,
//! repetitions, reorderings, crashes, pauses and clock errors, against the invariants of `docs/invariants.md`.
//! A run is a function of its seed alone. [`Planted`] bugs prove that it would notice.

mod kernel;
mod ledger_faults;
mod ledger_plans;
mod ledger_truth;
mod ledger_world;
mod tests;

/// A bug put in on purpose; each breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A lowered limit does not reach the cells in use (L9).
    OldLimitStays,
    /// Replies carry what is new instead of the cumulative count (L7).
    ReplyIsIncrement,
    /// What a dead gateway held is given to others (L7: silence means spent).
    RefundDeadGateway,
    /// The gateway reads the clock, then takes (L7).
    ClockBeforeTake,
    /// A restarted owner starts short windows from nothing (L6).
    RestartForgets,
    /// Replies of long windows do not wait for the mark (L5).
    ReleaseBeforeMark,
}
