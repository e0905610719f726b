//! Adds delivered batches to API-M, each in one transaction with the number it ends at (M4), and
//! removes minutes that were kept for long enough.

use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Clock};
use storage::apim::usage::{self, Taken};
use storage::{Database, StoreError};

use super::RetentionSettings;
use super::message::{DeliverUnknown, DeliverUsage, Delivered};
use super::retention::KeptTime;
use crate::ticker::{Ticker, ticker};

/// Old minutes are looked for so often.
const SWEEP: Duration = Duration::from_secs(60);
/// Rows that are removed in one transaction.
pub(super) const BATCH: u32 = 1_000;
/// Transactions of one look, so that deliveries do not wait for long.
const BATCHES: u32 = 32;
/// The time that counts are old by is noted when it is so much further, milliseconds: an idle node
/// writes little, and a start begins so much behind at most.
const NOTE_MS: i64 = 3_600_000;

/// What it is started with.
#[derive(Clone)]
pub(super) struct IntakeArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    pub(super) retention: RetentionSettings,
}

/// What it is told.
pub(super) enum IntakeMessage {
    Counts(Asked<DeliverUsage>),
    Unknown(Asked<DeliverUnknown>),
    /// Time to look for old minutes.
    Sweep,
}

/// The intake; API-M is its memory.
pub(super) struct Intake {
    arguments: IntakeArguments,
    /// The time that counts are old by, and when that was, on the boot clock; none until it was read.
    kept: Option<(KeptTime, i64)>,
    _ticker: Ticker,
}

// === impl Actor ===

impl Actor for Intake {
    type Message = IntakeMessage;
    type Arguments = IntakeArguments;
    const KIND: &'static str = "usage.intake";

    async fn start(
        arguments: IntakeArguments,
        me: Address<IntakeMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            arguments,
            kept: None,
            _ticker: ticker("usage retention", SWEEP, me, || IntakeMessage::Sweep),
        })
    }

    async fn handle(&mut self, message: IntakeMessage) -> Result<(), BoxError> {
        match message {
            // Who gave up asks again, with the same and more.
            IntakeMessage::Counts(asked) if asked.reply.is_abandoned() => {}
            IntakeMessage::Counts(asked) => {
                asked
                    .reply
                    .send(delivered(self.counts(&asked.request).await));
            }
            IntakeMessage::Unknown(asked) => {
                asked
                    .reply
                    .send(delivered(self.unknown(&asked.request).await));
            }
            IntakeMessage::Sweep => {
                let now_ms = self.arguments.clock.now_ms();
                if let Err(error) = self.sweep(now_ms).await {
                    tracing::warn!(%error, "old usage could not be removed, trying again");
                }
            }
        }
        Ok(())
    }
}

// === impl Intake ===

impl Intake {
    /// Removes what was kept for long enough, by the database's moment and the time that really
    /// passed.
    async fn sweep(&mut self, own_ms: i64) -> Result<(), StoreError> {
        let IntakeArguments {
            clock,
            apim,
            retention,
        } = &self.arguments;
        let now_ms = apim.moment_ms(own_ms).await?;
        let mut read = apim.read().await?;
        let noted_ms = usage::kept_time(&mut read).await?;
        // Counts of a version that noted nothing are as old as the newest of them says, whatever a clock says.
        let known_ms = match noted_ms {
            Some(noted_ms) => Some(noted_ms),
            None => usage::newest(&mut read).await?,
        };
        drop(read);
        let boot_ms = i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX);
        let (mut time, before_ms) = self
            .kept
            .unwrap_or_else(|| (KeptTime::begin(known_ms, now_ms), boot_ms));
        time.follow(noted_ms, boot_ms.saturating_sub(before_ms), now_ms);
        if noted_ms.is_none_or(|noted_ms| time.at_ms().saturating_sub(noted_ms) >= NOTE_MS) {
            note_kept_time(apim, time.at_ms()).await?;
        }
        self.kept = Some((time, boot_ms));
        forget_before(apim, time.old_before(retention.keep_ms, now_ms)).await
    }

    async fn counts(&self, batch: &DeliverUsage) -> Result<Delivered, StoreError> {
        let mut write = self.arguments.apim.write("apim.usage.save").await?;
        let DeliverUsage {
            node,
            incarnation,
            first,
            last,
            counts,
        } = batch;
        let taken = usage::save(&mut write, node, *incarnation, (*first, *last), counts).await?;
        write.commit().await?;
        Ok(match taken {
            Taken::Now => Delivered::Taken,
            Taken::Before(number) => {
                tracing::debug!(%node, incarnation, last, number, "a usage batch came again");
                Delivered::Before(number)
            }
        })
    }

    async fn unknown(&self, told: &DeliverUnknown) -> Result<Delivered, StoreError> {
        let mut write = self.arguments.apim.write("apim.usage.save_unknown").await?;
        usage::save_unknown(&mut write, &told.node, told.incarnation, told.unknown).await?;
        write.commit().await?;
        Ok(Delivered::Taken)
    }
}

/// Notes the time that retention goes by.
pub(super) async fn note_kept_time(apim: &Database, at_ms: i64) -> Result<(), StoreError> {
    let mut write = apim.write("apim.usage.note_kept_time").await?;
    usage::save_kept_time(&mut write, at_ms).await?;
    write.commit().await
}

/// Removes minutes that began before `before_ms`, in bounded batches; what is left after many of them
/// is the next look's.
pub(super) async fn forget_before(apim: &Database, before_ms: i64) -> Result<(), StoreError> {
    for _ in 0..BATCHES {
        let mut write = apim.write("apim.usage.delete").await?;
        let gone = usage::delete_before(&mut write, before_ms, BATCH).await?;
        write.commit().await?;
        if gone < u64::from(BATCH) {
            break;
        }
    }
    Ok(())
}

fn delivered(done: Result<Delivered, StoreError>) -> Delivered {
    match done {
        Ok(delivered) => delivered,
        Err(error) => {
            tracing::warn!(%error, "usage cannot be taken in, its sender keeps it");
            Delivered::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster::{System, child};
    use domain::usage::UsageCount;

    use super::super::tests::count;
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[tokio::test]
    async fn counts_of_a_version_that_noted_no_time_are_not_old_because_a_clock_is_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("apim.db").display());
        let apim = storage::apim::open(&url).await.unwrap();
        let system = System::new(Clock::system(), true);
        // They end a year before the clock, and span more than is kept.
        let newest_ms = (system.clock.now_ms() - 365 * DAY_MS) / 60_000 * 60_000;
        let minutes = [newest_ms - 91 * DAY_MS, newest_ms - 89 * DAY_MS, newest_ms];
        let counts = minutes.map(|minute_ms| UsageCount {
            minute_ms,
            ..count(1)
        });
        let mut write = apim.write("test.usage").await.unwrap();
        let saved = usage::save(&mut write, "gw1", 1, (1, 3), &counts).await;
        assert_eq!(saved.unwrap(), Taken::Now);
        write.commit().await.unwrap();
        let arguments = IntakeArguments {
            clock: system.clock.clone(),
            apim: apim.clone(),
            retention: RetentionSettings::days(90),
        };
        let (me, _child) = child::<Intake>(&system, "usage-intake", arguments.clone());
        let mut intake = Intake::start(arguments, me).await.unwrap();
        for _ in 0..2 {
            intake.sweep(system.clock.now_ms()).await.unwrap();
            let mut read = apim.read().await.unwrap();
            let kept = usage::list(&mut read, 0, i64::MAX, (0, 10)).await;
            let kept: Vec<i64> = kept.unwrap().iter().map(|count| count.minute_ms).collect();
            assert_eq!(kept, minutes[1..]);
            assert_eq!(usage::kept_time(&mut read).await.unwrap(), Some(newest_ms));
        }
    }
}
