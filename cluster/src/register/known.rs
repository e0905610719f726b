//! What a node knows of the register.

use std::sync::Arc;

use super::types::{LogPlace, Voters};

/// What this node knows now. The value never goes back, also over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The value after the last entry that is known to be agreed on.
    pub value: Arc<Vec<u8>>,
    /// Where that entry stands; none before the first.
    pub at: Option<LogPlace>,
    /// Who votes, as far as it is known to be agreed on.
    pub voters: Voters,
    /// The highest term that was heard of.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<String>,
    /// Whether this node leads, and a majority has said so a moment ago.
    pub leads: bool,
    /// How the register of this node is.
    pub state: RegisterState,
}

/// How the register of a node is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RegisterState {
    /// It has not begun, or begins again.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// It began to run and has said nothing for so long that its store or its seal seems to hang.
    Stalled,
    /// It ended by a fault, and is started again.
    Failed(String),
}

// === impl Known ===

impl Known {
    /// Nobody is known to lead. What ended it stays to be seen until it runs again.
    pub(crate) fn begin_anew(&mut self) {
        (self.leads, self.leader) = (false, None);
        if matches!(self.state, RegisterState::Running | RegisterState::Stalled) {
            self.state = RegisterState::Starting;
        }
    }
}
