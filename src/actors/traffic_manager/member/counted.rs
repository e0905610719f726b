//! What metrics tell of a member: what it granted and answered, whom it asked to give back, what waits, and how often
//! voters fenced. No label has more values than are written here.

use domain::ledger::{Effect, Ledger, Outcome};

/// A question that waits, for as long as this lives.
#[derive(Debug)]
pub(super) struct Waits(());

// === impl Waits ===

impl Waits {
    pub(super) fn begin() -> Self {
        metrics::gauge!("headgate_ledger_questions_waiting").increment(1.0);
        Self(())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        metrics::gauge!("headgate_ledger_questions_waiting").decrement(1.0);
    }
}

/// Something is said to a gateway.
pub(super) fn effect(effect: &Effect) {
    match effect {
        Effect::Reply(reply) => {
            let outcome = outcome(reply.outcome);
            metrics::counter!("headgate_ledger_answers_total", "outcome" => outcome).increment(1);
        }
        Effect::Recall(_) => metrics::counter!("headgate_ledger_recalls_total").increment(1),
        Effect::Reopen(_) => metrics::counter!("headgate_ledger_reopenings_total").increment(1),
        Effect::Persist { .. } | Effect::Replicate { .. } | Effect::Shared { .. } => {}
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "granted",
        Outcome::Retry { .. } => "retry",
        Outcome::Final => "final",
        Outcome::Behind { .. } => "behind",
        Outcome::UnknownPolicy => "unknown_policy",
        Outcome::Shared => "shared",
    }
}

/// Units that a ledger has granted since `known`, which is brought up to now.
pub(super) fn granted(known: &mut u64, ledger: &Ledger) {
    let now = ledger.granted_units();
    let units = now.saturating_sub(std::mem::replace(known, now));
    if units > 0 {
        metrics::counter!("headgate_ledger_granted_units_total").increment(units);
    }
}

/// Voters are asked to remember a T.
pub(super) fn fence_asked(is_asked: bool) {
    if is_asked {
        fence("asked");
    }
}

/// A majority of them does.
pub(super) fn fence_passed(is_passed: bool) {
    if is_passed {
        fence("passed");
    }
}

fn fence(step: &'static str) {
    metrics::counter!("headgate_ledger_fences_total", "step" => step).increment(1);
}
