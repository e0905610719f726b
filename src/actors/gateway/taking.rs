//! How a call comes to the units that it has to have of one limit (PROTOCOLS L8, L9): at once where they are at hand, else
//! in the line of those who wait, until the owner grants some, refuses for good, or the call may wait no longer.
//!
//! What a call is lies behind [`Wants`]: requests in `http::gateway::throttle`, and calls of tests.

use std::sync::Arc;
use std::time::Duration;

use cluster::AskError;
use domain::lease::Refused;

use super::lease_cache::Slot;
use super::line::Waiting;

/// Who waits looks again so often, in case a wake was for another.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Who could not open a lease tries again after so long.
const OPEN_AGAIN: Duration = Duration::from_millis(20);

/// A call that has to have units of one limit.
pub trait Wants {
    /// Why it does not go on.
    type Refusal;

    /// Units that it waits for when there are none.
    fn units(&self) -> u32;

    /// The limit's lease, if it was opened and is still kept.
    fn at_hand(&self) -> Option<Arc<Slot>>;

    /// The limit's lease, opened where there is none; waits for that so long at most.
    ///
    /// # Errors
    /// When the accounts cannot be reached.
    fn open(
        &mut self,
        patience: Duration,
    ) -> impl Future<Output = Result<Arc<Slot>, AskError>> + Send;

    /// Takes the units, and says where the lease runs low.
    ///
    /// # Errors
    /// When they are not at hand.
    fn take(&mut self, slot: &Arc<Slot>) -> Result<(), Refused>;

    /// Has more asked for; never waits.
    fn refill(&self, slot: &Arc<Slot>, waited_for: u32);

    /// Whether nobody answers for the lease's shard now.
    fn is_unowned(&self, slot: &Slot) -> bool;

    /// Whether it goes on without units, as its policy's mode says; counted where it does.
    fn goes_on(&self) -> bool;

    /// How much longer it may wait.
    ///
    /// # Errors
    /// When that is over, or too many wait already.
    fn left(&mut self) -> Result<Duration, Self::Refusal>;

    /// The units of its window are gone, until then by the gateway's clock.
    ///
    /// # Errors
    /// Where that stops it.
    fn used_up(&mut self, slot: &Slot, until_ms: i64) -> Result<(), Self::Refusal>;

    /// No lease could be opened for it: too many wait for that.
    fn overloaded(&self) -> Self::Refusal;
}

/// Takes a call's units, or lets it go on without where it may.
///
/// # Errors
/// Why it does not go on.
pub async fn take<W: Wants>(call: &mut W) -> Result<(), W::Refusal> {
    // The usual case: the lease is at hand and has a unit.
    let units = call.units();
    if let Some(slot) = call.at_hand().filter(|slot| !slot.is_waited_for(units)) {
        match call.take(&slot) {
            Ok(()) => return Ok(()),
            // Who is told to ask is told once.
            Err(Refused::Empty { ask: true }) => call.refill(&slot, units),
            Err(_) => {}
        }
    }
    let mut line: Option<Waiting> = None;
    loop {
        let slot = lease(call).await?;
        // Only in its turn it takes: who comes late would find what others wait for.
        line = line.filter(|line| line.is_for(&slot));
        if line.is_none() && slot.is_waited_for(units) {
            line = Some(Waiting::begin(&slot, units));
        }
        if let Some(behind) = line.as_ref().filter(|line| !line.has_turn()) {
            let Some(left) = may_wait(call)? else {
                return Ok(());
            };
            behind.until_turn(left).await;
            continue;
        }
        // Made before the take, so that an answer in between is not missed.
        let changed = slot.changed.notified();
        match call.take(&slot) {
            Ok(()) => return Ok(()),
            Err(Refused::Closed { until_ms }) => return call.used_up(&slot, until_ms),
            Err(Refused::Empty { ask }) => {
                // Who came into the line just now looks once more: the answer may have come meanwhile.
                let waits = line.as_ref().is_some_and(Waiting::found_nothing);
                line.get_or_insert_with(|| Waiting::begin(&slot, units));
                if ask {
                    call.refill(&slot, units);
                }
                if call.is_unowned(&slot) && call.goes_on() {
                    return Ok(());
                }
                let Some(left) = may_wait(call)? else {
                    return Ok(());
                };
                if waits {
                    let _ = tokio::time::timeout(left.min(LOOK_AGAIN), changed).await;
                }
            }
        }
    }
}

/// How much longer the call may wait; nothing when it goes on without units instead.
fn may_wait<W: Wants>(call: &mut W) -> Result<Option<Duration>, W::Refusal> {
    match call.left() {
        Ok(left) => Ok(Some(left)),
        // Whatever kept the owner from answering: there was none for this call.
        Err(_) if call.goes_on() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// The lease of a limit; it is opened where there is none.
async fn lease<W: Wants>(call: &mut W) -> Result<Arc<Slot>, W::Refusal> {
    loop {
        if let Some(slot) = call.at_hand() {
            return Ok(slot);
        }
        let left = call.left()?;
        match call.open(left).await {
            Ok(slot) => return Ok(slot),
            Err(AskError::Overloaded) => return Err(call.overloaded()),
            // Whoever opens leases starts anew, and opens this one then.
            Err(_) => tokio::time::sleep(left.min(OPEN_AGAIN)).await,
        }
    }
}
