//! The door to the register of this node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::actor::{Arguments, Message, RegisterActor, RegisterSettings};
use super::founding::RegisterSeed;
use super::known::Known;
use super::link::AskRegister;
use super::order::{ENTRY_LIMIT, OrderError, Outcome};
use super::store::LAST_END;
use super::timing::RegisterTiming;
use super::types::LogPlace;
use super::voter_id::VoterId;
use crate::address::Address;
use crate::ask::{AskError, Reply};
use crate::door::{Asked, Door};
use crate::registry::System;
use crate::supervisor::{Child, child};

/// The register of this node; cheap to clone.
#[derive(Clone)]
pub struct Register {
    address: Address<Message>,
    known: watch::Receiver<Known>,
    timing: RegisterTiming,
}

/// Describes the register's actor and the door to it. It votes for nobody and follows nothing before it was founded or
/// others have made it a voter.
///
/// # Errors
/// [`OrderError::NotAnId`] when this node's id is no UUID.
pub fn register(
    system: &System,
    name: &str,
    settings: RegisterSettings,
) -> Result<(Register, Child), OrderError> {
    let me = voter(&settings.node)?;
    let (sender, known) = watch::channel(Known::default());
    let timing = settings.timing;
    let arguments = Arguments {
        settings,
        me,
        known: sender,
        places: Arc::new(Semaphore::new(1)),
    };
    let (address, child) = child::<RegisterActor>(system, name, arguments);
    let register = Register {
        address,
        known,
        timing,
    };
    Ok((register, child))
}

fn voter(id: &str) -> Result<VoterId, OrderError> {
    VoterId::of(id).ok_or_else(|| OrderError::NotAnId(id.to_owned()))
}

/// One, three or five: of two or four a majority is as many as of three or five, and more of them may be lost.
fn voters(ids: &[String]) -> Result<BTreeSet<VoterId>, OrderError> {
    let voters: BTreeSet<VoterId> = ids.iter().map(|id| voter(id)).collect::<Result<_, _>>()?;
    match voters.len() {
        1 | 3 | 5 => Ok(voters),
        count => Err(OrderError::Number { count }),
    }
}

// === impl Register ===

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Register({})", self.address.name())
    }
}

impl Register {
    /// What this node knows now.
    #[must_use]
    pub fn known(&self) -> Known {
        self.known.borrow().clone()
    }

    /// The same, and every change of it.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    /// Begins a log, where there is none, in which this node votes alone. Who it may be that begins one, and from
    /// where, is decided elsewhere: two logs know nothing of each other.
    ///
    /// # Errors
    /// [`OrderError::NotEmpty`] where something was agreed on before or another node is followed,
    /// [`OrderError::Failed`], [`OrderError::Unanswered`].
    pub async fn found(&self, seed: RegisterSeed) -> Result<(), OrderError> {
        // What ran has to end before.
        let deadline = LAST_END + self.timing.agreeing;
        let founded = self.order(deadline, |reply| Message::Found(seed, reply));
        founded.await.map(drop)
    }

    /// Has an entry agreed on, by this node or by the one that leads, and gives its place. An order that failed may be
    /// agreed on all the same, unless it was too large.
    ///
    /// # Errors
    /// Any but those of changes of voters.
    pub async fn propose(&self, entry: Vec<u8>) -> Result<LogPlace, OrderError> {
        if entry.len() > ENTRY_LIMIT {
            return Err(OrderError::TooLarge { size: entry.len() });
        }
        let deadline = self.timing.agreeing * 3;
        self.order(deadline, |reply| Message::Propose(entry, reply))
            .await
    }

    /// Has these vote and no others, and gives the place from which on they do. Those that are new have taken the log
    /// before, or nothing is changed.
    ///
    /// # Errors
    /// Any but those of entries.
    pub async fn change_voters(&self, ids: &[String]) -> Result<LogPlace, OrderError> {
        let voters = voters(ids)?;
        let deadline = self.timing.changing() * 2;
        self.order(deadline, |reply| Message::ChangeVoters(voters, reply))
            .await
    }

    /// Answers what the register of another node said.
    ///
    /// # Errors
    /// When this one does not run.
    pub async fn answer(&self, said: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, AskError> {
        let ask = |reply| {
            let request = AskRegister { said };
            Message::Asked(Asked { request, reply })
        };
        self.address.ask(deadline, ask).await
    }

    /// Where other nodes ask, to be served by this node's [`crate::Cluster`].
    #[must_use]
    pub fn door(&self, system: &System) -> Door<AskRegister> {
        Door::local(
            system,
            self.address.clone(),
            Message::Asked,
            |message| match message {
                Message::Asked(asked) => Some(asked),
                _ => None,
            },
        )
    }

    async fn order(
        &self,
        deadline: Duration,
        order: impl FnOnce(Reply<Outcome>) -> Message,
    ) -> Outcome {
        match self.address.ask(deadline, order).await {
            Ok(outcome) => outcome,
            Err(AskError::Timeout | AskError::Dropped) => Err(OrderError::Unanswered),
            Err(error) => Err(OrderError::Failed(error.to_string())),
        }
    }
}
