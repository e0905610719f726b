//! The seeded simulator (DESIGN §9): the same `step` functions as in production, driven through delays, losses,
//! repetitions, reorderings, crashes, pauses and clock errors, against the invariants of `docs/invariants.md`.
//! A run is a function of its seed alone. [`Planted`] bugs prove that it would notice.

/// A bug put in on purpose; each breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A lowered limit does not reach the cells in use (L9).
    OldLimitStays,
}
