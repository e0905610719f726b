//! The typed clients of usage: [`UsageHandle`] for the gateway's recorder, [`UsageIntakeHandle`] for
//! the delivery and for whoever reads the counts.

use std::time::Duration;

use cluster::{Address, AskError, Cluster, Door};
use domain::usage::{MinuteSum, UsageCount};
use storage::{Database, Read, StoreError, apim};

use crate::CONTROL_PLANE;

use super::message::{DeliverUnknown, DeliverUsage, Delivered};
use super::queue::QueueMessage;

/// The deadline of one question.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why something about usage could not be done. All may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The queue did not answer.
    #[error("the usage queue did not answer: {0}")]
    Ask(#[from] AskError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the gateway's counts into its queue on disk.
#[derive(Debug, Clone)]
pub struct UsageHandle {
    queue: Address<QueueMessage>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// False when the queue was full: then only the number of its events is kept.
    pub kept: bool,
    /// The first and the last of the numbers that were reserved with it.
    pub reserved: Option<(u64, u64)>,
}

/// Delivers to API-M and reads from it.
#[derive(Debug, Clone)]
pub struct UsageIntakeHandle {
    counts: Door<DeliverUsage>,
    unknown: Door<DeliverUnknown>,
    /// Where this node reads the counts, if it may.
    apim: Option<Database>,
}

// === impl UsageHandle ===

impl UsageHandle {
    pub(super) const fn new(queue: Address<QueueMessage>) -> Self {
        Self { queue }
    }

    /// Reserves event numbers; gives the first and the last of them. They are on disk before this
    /// answers, and may be used only then. A repeat after an error may leave a gap to the numbers
    /// before, which means nothing once something after it is recorded.
    ///
    /// # Errors
    /// When it is not certain that they are reserved.
    pub async fn reserve(&self, block: u64) -> Result<(u64, u64), UsageError> {
        let ask = |reply| QueueMessage::Reserve { block, reply };
        Ok(self.queue.ask(DEADLINE, ask).await??)
    }

    /// Records the counts of the events numbered `first` to `last`; batches come in order, and every
    /// number up to `last` that is in none counts as used for nothing. A repeat records nothing
    /// twice. With it, in the same write, come so many more reserved numbers, as by
    /// [`Self::reserve`]; none when 0.
    ///
    /// # Errors
    /// When it is not certain that they are recorded: keep them and repeat.
    pub async fn record(
        &self,
        (first, last): (u64, u64),
        counts: Vec<UsageCount>,
        ahead: u64,
    ) -> Result<Recorded, UsageError> {
        let ask = |reply| QueueMessage::Record {
            first,
            last,
            counts,
            ahead,
            reply,
        };
        Ok(self.queue.ask(DEADLINE, ask).await??)
    }

    /// Gives back the numbers after `last`, which must not be used any more: a gateway that is idle
    /// and has recorded everything leaves nothing unknown even when it is killed. The next
    /// reservation begins after `last`.
    ///
    /// # Errors
    /// When it is not certain that they are given back: reserve anew and use only those.
    pub async fn release(&self, last: u64) -> Result<(), UsageError> {
        let ask = |reply| QueueMessage::Release { last, reply };
        Ok(self.queue.ask(DEADLINE, ask).await??)
    }

    /// The last word of an orderly stop: everything used is recorded.
    ///
    /// # Errors
    /// When it is not certain that it was written.
    pub async fn close(&self) -> Result<(), UsageError> {
        let ask = |reply| QueueMessage::Close { reply };
        Ok(self.queue.ask(DEADLINE, ask).await??)
    }
}

// === impl UsageIntakeHandle ===

impl UsageIntakeHandle {
    pub(super) const fn new(
        counts: Door<DeliverUsage>,
        unknown: Door<DeliverUnknown>,
        apim: Database,
    ) -> Self {
        Self {
            counts,
            unknown,
            apim: Some(apim),
        }
    }

    /// Has this node's intake take what other nodes deliver.
    #[must_use]
    pub fn joined(self, cluster: &Cluster) -> Self {
        cluster.serve(self.counts.clone());
        cluster.serve(self.unknown.clone());
        self
    }

    /// The intake of whichever node of the control plane answers.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster) -> Self {
        let never = Duration::MAX;
        Self {
            counts: Door::anywhere(None, cluster, CONTROL_PLANE, never),
            unknown: Door::anywhere(None, cluster, CONTROL_PLANE, never),
            apim: None,
        }
    }

    /// The counts of the minutes that begin from `from_ms` to before `to_ms`: at most `most` of them
    /// after the first `offset`.
    ///
    /// # Errors
    /// When API-M cannot be read.
    pub async fn counts(
        &self,
        from_ms: i64,
        to_ms: i64,
        (offset, most): (u32, u32),
    ) -> Result<Vec<UsageCount>, UsageError> {
        let mut read = self.apim().await?;
        Ok(apim::usage::list(&mut read, from_ms, to_ms, (offset, most)).await?)
    }

    /// The sums of the minutes that begin from `from_ms` to before `to_ms`, by minute and status.
    ///
    /// # Errors
    /// When API-M cannot be read.
    pub async fn sums(&self, from_ms: i64, to_ms: i64) -> Result<Vec<MinuteSum>, UsageError> {
        let mut read = self.apim().await?;
        Ok(apim::usage::sums(&mut read, from_ms, to_ms).await?)
    }

    /// Calls that may have happened and are in no count.
    ///
    /// # Errors
    /// When API-M cannot be read.
    pub async fn unknown(&self) -> Result<u64, UsageError> {
        let mut read = self.apim().await?;
        Ok(apim::usage::unknown(&mut read).await?)
    }

    async fn apim(&self) -> Result<Read, UsageError> {
        match &self.apim {
            Some(apim) => Ok(apim.read().await?),
            None => Err(AskError::Unavailable.into()),
        }
    }

    /// Delivers a batch; gives the last number of it that API-M has, none when it takes nothing now.
    pub(super) async fn deliver(&self, batch: DeliverUsage) -> Option<u64> {
        let last = batch.last;
        taken(self.counts.ask(batch, DEADLINE).await, last)
    }

    /// Delivers what is unknown; true when API-M has it.
    pub(super) async fn deliver_unknown(&self, told: DeliverUnknown) -> bool {
        taken(self.unknown.ask(told, DEADLINE).await, 0).is_some()
    }
}

fn taken(answer: Result<Delivered, AskError>, last: u64) -> Option<u64> {
    match answer {
        Ok(Delivered::Taken) => Some(last),
        Ok(Delivered::Before(number)) => Some(number),
        Ok(Delivered::Unavailable) => None,
        // The same message comes again and again, and what waits behind it waits for ever.
        Err(error @ AskError::Unsupported) => {
            tracing::error!(
                %error,
                "usage cannot be delivered: control plane and gateway do not understand each other, \
                 all of it waits in the gateway's broker.db"
            );
            None
        }
        Err(error) => {
            tracing::debug!(%error, "no control-plane node takes usage now");
            None
        }
    }
}
