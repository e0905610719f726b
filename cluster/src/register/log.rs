//! The log as openraft sees it: in memory for reading, in the store before anything is acknowledged. It is short, for
//! snapshots cut it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, EntryPayload, ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogReader,
    StorageIOError,
};
use tokio::sync::watch;

use super::machine::Covered;
use super::store::{Kept, Tenure};
use super::types::{Entry, LogId, LogPlace, StorageError, Types, Vote};
use super::value::Sealing;
use super::words::{EntryWord, PlaceWord, VoteWord, write};
use crate::actor::BoxError;

/// A voter's log. Its clones are the same one.
#[derive(Clone)]
pub(crate) struct Log {
    tenure: Arc<Tenure>,
    sealing: Arc<dyn Sealing>,
    covered: watch::Receiver<Covered>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

/// A fault of the store, as openraft has it.
pub(crate) fn fault(
    subject: ErrorSubject<super::voter_id::VoterId>,
    verb: ErrorVerb,
    error: impl Into<BoxError>,
) -> StorageError {
    let error: BoxError = error.into();
    StorageIOError::new(subject, verb, AnyError::error(error)).into()
}

// === impl Log ===

impl Log {
    /// A log with what was kept of it; `covered` says how much of it a snapshot has.
    pub(crate) fn new(
        tenure: Arc<Tenure>,
        sealing: Arc<dyn Sealing>,
        covered: watch::Receiver<Covered>,
        kept: &mut Kept,
    ) -> Self {
        let memory = Memory {
            vote: kept.vote,
            committed: kept.committed,
            purged: kept.purged,
            entries: std::mem::take(&mut kept.entries),
        };
        Self {
            tenure,
            sealing,
            covered,
            memory: Arc::new(Mutex::new(memory)),
        }
    }

    /// Has the voter seal by all entries that it has: it may have ended between an entry and its seal.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) async fn seal(&self) -> Result<(), BoxError> {
        let proposed = self.with(|memory| proposed(memory.entries.values()));
        self.sealing.appended(&proposed).await
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether none of these is written over one of another term, whatever openraft asks: that would be cut off first.
    fn fits(&self, entries: &[Entry]) -> Result<(), BoxError> {
        let over = self.with(|memory| {
            let over = |entry: &&Entry| {
                let here = memory.entries.get(&entry.log_id.index);
                here.is_some_and(|here| here.log_id != entry.log_id)
            };
            entries.iter().find(over).map(|entry| entry.log_id)
        });
        match over {
            Some(at) => Err(format!("entry {at} would be written over another one").into()),
            None => Ok(()),
        }
    }

    /// Waits until the snapshot that covers all up to there is kept. Openraft has one that comes from another node
    /// installed by another task, and removes what it covers without waiting for that: a log without its beginning and
    /// without that snapshot could never be read again.
    async fn wait_for_snapshot(&self, through: LogId) -> Result<(), BoxError> {
        let mut covered = self.covered.clone();
        let known = async {
            let is_known = |covered: &Covered| match covered {
                Ok(covered) => *covered >= Some(through),
                Err(_) => true,
            };
            covered.wait_for(is_known).await.map(|known| known.clone())
        };
        tokio::select! {
            () = self.tenure.over() => Err("this incarnation of the register has ended".into()),
            known = known => match known {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(why)) => Err(why.into()),
                Err(_) => Err("the snapshot that covers the log is not taken any more".into()),
            },
        }
    }

    async fn append_durably(&self, entries: &[Entry]) -> Result<(), BoxError> {
        self.fits(entries)?;
        let rows = entries.iter().map(|entry| {
            let bytes = write(&EntryWord::from(entry))?;
            Ok((entry.log_id.index, bytes))
        });
        let rows = rows.collect::<Result<Vec<_>, BoxError>>()?;
        self.tenure.store()?.append(rows).await?;
        // W4: sealed before anybody hears that it is here.
        let proposed = proposed(entries);
        if !proposed.is_empty() {
            self.sealing.appended(&proposed).await?;
        }
        Ok(())
    }
}

fn proposed<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<(LogPlace, Vec<u8>)> {
    let proposed = entries
        .into_iter()
        .filter_map(|entry| match &entry.payload {
            EntryPayload::Normal(bytes) => Some((entry.log_id.into(), bytes.clone())),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        });
    proposed.collect()
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        let chosen =
            |(number, entry): (&u64, &Entry)| range.contains(number).then(|| entry.clone());
        // Compared one by one, for a range that ends before it begins is nobody's fault here.
        Ok(self.with(|memory| memory.entries.iter().filter_map(chosen).collect()))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        Ok(self.with(|memory| LogState {
            last_purged_log_id: memory.purged,
            last_log_id: match memory.entries.last_key_value() {
                Some((_, last)) => Some(last.log_id),
                None => memory.purged,
            },
        }))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let failed = |error| fault(ErrorSubject::Vote, ErrorVerb::Write, error);
        let word = write(&VoteWord::from(*vote)).map_err(|error| failed(error.into()))?;
        let store = self.tenure.store().map_err(failed)?;
        store.save_vote(word).await.map_err(failed)?;
        self.with(|memory| memory.vote = Some(*vote));
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.with(|memory| memory.vote))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let failed = |error| fault(ErrorSubject::Store, ErrorVerb::Write, error);
        let Some(id) = committed else {
            return Ok(());
        };
        let word = write(&PlaceWord::from(id)).map_err(|error| failed(error.into()))?;
        let store = self.tenure.store().map_err(failed)?;
        store.save_committed(word).await.map_err(failed)?;
        self.with(|memory| memory.committed = committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.with(|memory| memory.committed))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let appended = self.append_durably(&entries).await;
        appended.map_err(|error| fault(ErrorSubject::Logs, ErrorVerb::Write, error))?;
        let entries = entries.into_iter();
        self.with(|memory| {
            memory
                .entries
                .extend(entries.map(|entry| (entry.log_id.index, entry)));
        });
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        let failed = |error| fault(ErrorSubject::Log(from), ErrorVerb::Delete, error);
        let store = self.tenure.store().map_err(failed)?;
        store.truncate(from.index).await.map_err(failed)?;
        self.with(|memory| drop(memory.entries.split_off(&from.index)));
        Ok(())
    }

    async fn purge(&mut self, through: LogId) -> Result<(), StorageError> {
        let failed = |error| fault(ErrorSubject::Log(through), ErrorVerb::Delete, error);
        let word = write(&PlaceWord::from(through)).map_err(|error| failed(error.into()))?;
        self.wait_for_snapshot(through).await.map_err(failed)?;
        let store = self.tenure.store().map_err(failed)?;
        store.purge(through.index, word).await.map_err(failed)?;
        self.with(|memory| {
            memory.purged = Some(through);
            memory.entries = memory.entries.split_off(&(through.index + 1));
        });
        Ok(())
    }
}
