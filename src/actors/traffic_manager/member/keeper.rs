//! Begins and ends the ledger's life on a member's disk (L5, L6), and notes T ahead of its use (L10). First child, so it
//! stops last.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, BoxError};
use domain::view::{Epoch, NodeTime};
use storage::broker::ledger;
use storage::broker::ledger_state::{self, LastStop, Left};
use storage::{Database, StoreError};

use super::shards::ShardsMessage;
use super::slots::Slots;
use crate::agreed_view::AgreedView;
use crate::ticker::{Ticker, ticker};

/// What is due is looked at so often.
const EVERY: Duration = Duration::from_millis(100);
/// Marks of windows that are over are removed once in so many times.
const SWEEP_EVERY: u32 = 600;

/// What it is started with.
#[derive(Clone)]
pub(super) struct KeeperArguments {
    pub(super) broker: Database,
    pub(super) slots: Arc<Slots>,
    pub(super) agreed: AgreedView,
    pub(super) shards: Vec<Address<ShardsMessage>>,
}

/// What it is told: time passed, or something is due on disk.
#[derive(Debug)]
pub(super) struct Due;

/// The keeper.
pub(super) struct Keeper {
    arguments: KeeperArguments,
    ticks: u32,
    /// Whether T could not be noted at the last try.
    failing: bool,
    _ticker: Ticker,
}

// === impl Actor ===

impl Actor for Keeper {
    type Message = Due;
    type Arguments = KeeperArguments;
    const KIND: &'static str = "traffic_manager.keeper";

    async fn start(arguments: KeeperArguments, me: Address<Due>) -> Result<Self, BoxError> {
        arguments.slots.site.kept_by(me.clone());
        begin(&arguments).await?;
        Ok(Self {
            arguments,
            ticks: 0,
            failing: false,
            _ticker: ticker("ledger notes", EVERY, me, || Due),
        })
    }

    async fn handle(&mut self, _: Due) -> Result<(), BoxError> {
        begin(&self.arguments).await?;
        let site = &self.arguments.slots.site;
        let ahead_ms = site.ahead_ms();
        metrics::gauge!("headgate_plan_windows_ahead_seconds").set(ahead_ms as f64 / 1_000.0);
        let beginning = site.due_beginning();
        if let Some(t_ms) = site.due_note() {
            self.note(t_ms).await;
        }
        if let Some(epoch) = beginning {
            self.take_part(epoch).await;
        }
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SWEEP_EVERY) {
            // No later than what is noted: a later life may begin there.
            let t_ms = self.arguments.slots.site.t_ms();
            if let Err(error) = sweep(&self.arguments.broker, t_ms).await {
                tracing::warn!(%error, "old marks could not be removed, trying again");
            }
        }
        Ok(())
    }

    async fn stop(&mut self) {
        match self.save_all().await {
            Ok(cells) => tracing::info!(cells, "lease ledger stopped in order"),
            Err(error) => {
                tracing::error!(%error, "lease ledger not saved, its short windows will be full");
            }
        }
    }
}

/// Begins the ledger, once this life's clock is set right; it is kept so from then on.
async fn begin(arguments: &KeeperArguments) -> Result<(), BoxError> {
    let site = &arguments.slots.site;
    let voters = arguments.agreed.latest().voters;
    if !site.set_right(&voters) {
        return Ok(());
    }
    arguments.agreed.set_right(site.right_ms());
    if arguments.slots.left.get().is_some() {
        return Ok(());
    }
    let mut write = arguments.broker.write("broker.ledger.begin").await?;
    let left = ledger_state::begin(&mut write).await?;
    let begun = ledger_state::begun(&mut write).await?;
    let begun = begun.map(Epoch::of_number);
    let noted_ms = (left.last_stop != LastStop::Never).then_some(left.t_ms);
    let now_ms = site.now_ms();
    let mut time = NodeTime::new(noted_ms, now_ms);
    if let Some(t_ms) = time.due_note(now_ms) {
        ledger_state::note(&mut write, t_ms).await?;
        write.commit().await?;
        time.noted(t_ms);
    } else {
        write.commit().await?;
    }
    let ahead_ms = time.ahead_ms(now_ms);
    arguments.slots.site.begin(time, begun);
    // Set once a process: a restart of this actor is no restart of the ledger.
    let _ = arguments.slots.left.set(left);
    for shards in &arguments.shards {
        // Those that have started already have waited for this.
        let _ = shards.tell(ShardsMessage::Tick);
    }
    tracing::info!(last_stop = ?left.last_stop, "lease ledger begins");
    if left.last_stop == LastStop::Crashed {
        tracing::warn!(
            "the last run did not stop in order: where no other node has what it granted, plans by the minute or second \
             count as used up (429) until their running windows end"
        );
    }
    if ahead_ms > 2_000 {
        tracing::warn!(
            ahead_ms,
            "the clock stands before the time of the last run: if it is wrong now, set it right and start the node \
             again; if it was ahead then, the windows of plans begin and end so far ahead of it, and come back by half \
             a millisecond a second"
        );
    }
    Ok(())
}

// === impl Keeper ===

impl Keeper {
    async fn note(&mut self, t_ms: i64) {
        let written = write(&self.arguments.broker, t_ms).await;
        let is_alone = self.arguments.agreed.latest().view.members.len() <= 1;
        match &written {
            Ok(()) if std::mem::take(&mut self.failing) => {
                tracing::info!("the ledger's time is noted again");
            }
            Ok(()) => {}
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                tracing::warn!(%error, "the ledger's time could not be noted, trying again");
            }
            Err(_) => {}
        }
        // A node that is alone goes on while its disk takes nothing: what it grants then may be granted again after a
        // crash with a clock that was set back.
        let goes_on = written.is_ok() || is_alone;
        self.arguments.slots.site.noted(t_ms, goes_on);
        self.wake();
    }

    /// The disk is to know the first view that it has a part in before anybody relies on it.
    async fn take_part(&mut self, epoch: Epoch) {
        match write_beginning(&self.arguments.broker, epoch).await {
            Ok(()) => {
                self.arguments.slots.site.has_begun(epoch);
                self.wake();
            }
            // The ticks try again; told with the note of T, which the same disk does not take either.
            Err(error) => tracing::debug!(%error, "the ledger's first view could not be noted"),
        }
    }

    fn wake(&self) {
        for shards in &self.arguments.shards {
            let _ = shards.tell(ShardsMessage::Look);
        }
    }

    async fn save_all(&self) -> Result<usize, StoreError> {
        let (slots, mut cells) = (&self.arguments.slots, 0);
        if slots.left.get().is_none() {
            // It never began, so it has nothing that the disk has not.
            return Ok(0);
        }
        let mut write = self.arguments.broker.write("broker.ledger.end").await?;
        let mut lost_ms = None;
        for shard in 0..slots.count() {
            let last = slots.with(shard, |slot| {
                let ledger = slot.ledger();
                (ledger.unsaved_marks(), ledger.full_until_ms())
            });
            let Some((marks, full_ms)) = last else {
                return Err(StoreError::Forbidden(format!("shard {shard} has failed")));
            };
            cells += marks.len();
            lost_ms = lost_ms.max(full_ms);
            ledger::save(&mut write, shard, &marks).await?;
        }
        let epoch = self.arguments.agreed.latest().view.epoch.number();
        let left = Left {
            last_stop: LastStop::Clean,
            t_ms: slots.site.t_ms(),
            lost_ms,
            epoch,
        };
        ledger_state::end(&mut write, &left).await?;
        write.commit().await?;
        Ok(cells)
    }
}

async fn write(broker: &Database, t_ms: i64) -> Result<(), StoreError> {
    let mut write = broker.write("broker.ledger.note").await?;
    ledger_state::note(&mut write, t_ms).await?;
    write.commit().await
}

/// Removes the marks of windows that were over at `t_ms`.
pub(in crate::traffic_manager) async fn sweep(
    broker: &Database,
    t_ms: i64,
) -> Result<(), StoreError> {
    let mut write = broker.write("broker.ledger.sweep").await?;
    ledger::delete_ended(&mut write, t_ms).await?;
    write.commit().await
}

async fn write_beginning(broker: &Database, epoch: Epoch) -> Result<(), StoreError> {
    let mut write = broker.write("broker.ledger.note").await?;
    ledger_state::take_part(&mut write, epoch.number()).await?;
    write.commit().await
}
