//! The view register as the rest of this component sees it (W3): one value, the same wherever it is known, and one way
//! to have the next entry agreed on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use domain::view::{Entry, Epoch, View};

/// What a voter's register knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The value by all entries that this node knows to be agreed on.
    pub view: View,
    /// Whether this node leads, as far as it knows.
    pub leads: bool,
    /// The place of the last entry that this node knows to be agreed on; none before the first.
    pub at: Option<Epoch>,
    /// The stable ids of those that vote, as of that place.
    pub voters: Vec<String>,
    /// Of those that are to vote, while that changes.
    pub next: Vec<String>,
    /// Of those that an operator chose; nobody where voters are chosen by what they are.
    pub chosen: Vec<String>,
    /// Who leads, as far as this node knows.
    pub leader: Option<String>,
}

/// One step of what is agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Of the view.
    View(Entry),
    /// An operator chooses who votes; nobody takes the choice back.
    Voters(Vec<String>),
}

/// A way to a register.
pub trait Register: Send + Sync {
    /// What it knows, now and as that changes.
    fn known(&self) -> watch::Receiver<Known>;

    /// Has an entry agreed on, if this node leads; else, and if that takes too long, nothing comes of it, or it is
    /// agreed on later. An entry that does not fit by then is void.
    fn propose(&self, entry: Entry) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Has a step agreed on, by this node or by whoever leads. One that failed may be agreed on all the same.
    ///
    /// # Errors
    /// Why it was not, for an operator.
    fn agree(&self, step: Step) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

    /// Has these vote and no others, if this node leads and they can be reached.
    fn change_voters(&self, voters: Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Shared by the actors of a node.
pub type SharedRegister = Arc<dyn Register>;
