//! The value as openraft sees it. It is rebuilt at each start from the snapshot and the entries behind it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::known::Known;
use super::log::fault;
use super::store::{Kept, Tenure};
use super::types::{
    Entry, LogId, LogPlace, Snapshot, SnapshotMeta, StorageError, StoredMembership, Types, Voters,
};
use super::value::{Agreed, Sealing, Value};
use super::words::{SnapshotWord, write};
use crate::actor::BoxError;

/// The last entry that the snapshot on disk covers, or why nothing more is taken in.
pub(crate) type Covered = Result<Option<LogId>, String>;

/// The value of this node. Its clones are the same one.
#[derive(Clone)]
pub(crate) struct Machine {
    tenure: Arc<Tenure>,
    value: Arc<dyn Value>,
    sealing: Arc<dyn Sealing>,
    known: watch::Sender<Known>,
    state: Arc<Mutex<State>>,
    /// The snapshot that the store has; held while it is replaced, so that an earlier one never replaces a later.
    snapshot: Arc<tokio::sync::Mutex<Option<Snapshot>>>,
    /// What the log may remove. It closes when openraft has dropped the last clone, as after a panic.
    covered: watch::Sender<Covered>,
}

#[derive(Clone)]
struct State {
    applied: Option<LogId>,
    voters: StoredMembership,
    bytes: Arc<Vec<u8>>,
}

// === impl Machine ===

impl Machine {
    /// The value that was kept; `known` hears of each change.
    ///
    /// # Errors
    /// When it is not understood here, or the voter cannot seal by it.
    pub(crate) async fn new(
        tenure: Arc<Tenure>,
        (value, sealing): (Arc<dyn Value>, Arc<dyn Sealing>),
        known: watch::Sender<Known>,
        kept: &mut Kept,
    ) -> Result<Self, BoxError> {
        let snapshot = kept.snapshot.take();
        let state = match &snapshot {
            None => State {
                applied: None,
                voters: StoredMembership::default(),
                bytes: Arc::new(value.initial()),
            },
            Some(Snapshot { meta, snapshot }) => {
                value.check(snapshot)?;
                if let Some(at) = meta.last_log_id {
                    sealing.installed(at.into(), snapshot).await?;
                }
                State {
                    applied: meta.last_log_id,
                    voters: meta.last_membership.clone(),
                    bytes: Arc::new(snapshot.as_ref().clone()),
                }
            }
        };
        let covered = snapshot.as_ref().and_then(|one| one.meta.last_log_id);
        let machine = Self {
            tenure,
            value,
            sealing,
            known,
            state: Arc::new(Mutex::new(state)),
            snapshot: Arc::new(tokio::sync::Mutex::new(snapshot)),
            covered: watch::Sender::new(Ok(covered)),
        };
        Ok(machine)
    }

    /// What the log may remove.
    pub(crate) fn covered(&self) -> watch::Receiver<Covered> {
        self.covered.subscribe()
    }

    /// A fault after which openraft has nothing more taken in; whoever waits for a snapshot hears of it.
    fn ended(
        &self,
        subject: ErrorSubject<super::voter_id::VoterId>,
        error: BoxError,
    ) -> StorageError {
        drop(self.covered.send_replace(Err(error.to_string())));
        fault(subject, ErrorVerb::Write, error)
    }

    /// Tells what is known now.
    pub(crate) fn tell(&self) {
        let state = self.state();
        self.known.send_if_modified(|known| {
            let at = state.applied.map(LogPlace::from);
            if at < known.at {
                // A start takes in once more what was known before it.
                return false;
            }
            let voters = Voters::of(state.voters.membership());
            let is_news = (known.at, &known.voters) != (at, &voters) || known.value != state.bytes;
            (known.at, known.voters, known.value) = (at, voters, state.bytes);
            is_news
        });
    }

    fn state(&self) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// One more entry; a panic of the value is its error.
    fn take(&self, state: &mut State, entry: Entry) -> Result<(), BoxError> {
        let at = LogPlace::from(entry.log_id);
        let apply = |bytes: &[u8], agreed: Agreed<'_>| {
            let applied = catch_unwind(AssertUnwindSafe(|| self.value.apply(bytes, at, agreed)));
            applied.unwrap_or_else(|_| Err("the value panicked".into()))
        };
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(proposed) => {
                state.bytes = Arc::new(apply(&state.bytes, Agreed::Entry(&proposed))?);
            }
            EntryPayload::Membership(membership) => {
                let voters = Voters::of(&membership);
                state.bytes = Arc::new(apply(&state.bytes, Agreed::Voters(&voters))?);
                state.voters = StoredMembership::new(Some(entry.log_id), membership);
            }
        }
        state.applied = Some(entry.log_id);
        Ok(())
    }

    /// Keeps a snapshot, unless there is a later one.
    async fn keep(&self, snapshot: &Snapshot) -> Result<(), BoxError> {
        let mut kept = self.snapshot.lock().await;
        let later = |kept: &Snapshot| kept.meta.last_log_id > snapshot.meta.last_log_id;
        if kept.as_ref().is_some_and(later) {
            return Ok(());
        }
        let word = write(&SnapshotWord::new(&snapshot.meta, &snapshot.snapshot))?;
        self.tenure.store()?.save_snapshot(word).await?;
        *kept = Some(snapshot.clone());
        let covered = snapshot.meta.last_log_id;
        drop(self.covered.send_replace(Ok(covered)));
        Ok(())
    }

    async fn install(&self, meta: &SnapshotMeta, bytes: Vec<u8>) -> Result<(), BoxError> {
        self.value.check(&bytes)?;
        if let Some(at) = meta.last_log_id {
            self.sealing.installed(at.into(), &bytes).await?;
        }
        let snapshot = Snapshot {
            meta: meta.clone(),
            snapshot: Box::new(bytes),
        };
        self.keep(&snapshot).await?;
        self.set(State {
            applied: meta.last_log_id,
            voters: meta.last_membership.clone(),
            bytes: Arc::new(*snapshot.snapshot),
        });
        self.tell();
        Ok(())
    }
}

/// The value as it is when a snapshot is asked for.
pub(crate) struct Still {
    machine: Machine,
    state: State,
}

impl RaftSnapshotBuilder<Types> for Still {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let state = self.state.clone();
        let place = state.applied.map(LogPlace::from);
        let snapshot = Snapshot {
            meta: SnapshotMeta {
                last_log_id: state.applied,
                last_membership: state.voters,
                snapshot_id: place.map_or_else(String::new, |place| place.to_string()),
            },
            snapshot: Box::new(state.bytes.as_ref().clone()),
        };
        let kept = self.machine.keep(&snapshot).await;
        kept.map_err(|error| fault(ErrorSubject::Snapshot(None), ErrorVerb::Write, error))?;
        Ok(snapshot)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Still;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.state();
        Ok((state.applied, state.voters))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut state, mut answers) = (self.state(), Vec::new());
        for entry in entries {
            let at = entry.log_id;
            let taken = self.take(&mut state, entry);
            taken.map_err(|error| self.ended(ErrorSubject::Apply(at), error))?;
            answers.push(());
        }
        self.set(state);
        self.tell();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Still {
        Still {
            machine: self.clone(),
            state: self.state(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<u8>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Vec<u8>>,
    ) -> Result<(), StorageError> {
        let installed = self.install(meta, *snapshot).await;
        installed.map_err(|error| self.ended(ErrorSubject::Snapshot(None), error))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.snapshot.lock().await.clone())
    }
}
