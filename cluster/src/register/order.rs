//! What the register is asked to agree on, and why it may not.

use super::types::LogPlace;
use super::voter_id::VoterId;
use super::words::{OrderWord, PlaceWord};

/// The largest entry in bytes.
pub const ENTRY_LIMIT: usize = 64 * 1024;

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Another node leads, or none does now.
    #[error("this node does not lead the register; {}", led_by(leader.as_deref()))]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<String>,
    },
    /// No answer came in time: it may be agreed on all the same.
    #[error("the register has not answered in time; what was asked may be agreed on all the same")]
    Unanswered,
    /// The entry is larger than [`ENTRY_LIMIT`].
    #[error("an entry has {size} bytes, at most {ENTRY_LIMIT} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Neither one voter, nor three, nor five.
    #[error("{count} voters were named: name 1, 3 or 5")]
    Number {
        /// How many.
        count: usize,
    },
    /// A voter that is no node.
    #[error("{0:?} is not the id of a node")]
    NotAnId(String),
    /// The voters are being changed already.
    #[error("the voters are being changed already: wait for that, or for the next leader")]
    UnderWay,
    /// A node that is to vote has not taken what was agreed on so far; nothing was changed.
    #[error("node {0} has not taken the register's log in time: the voters stay as they were")]
    Unreached(String),
    /// Something was agreed on here before, so nothing can be founded.
    #[error("the register of this node has entries already: it was founded or has joined")]
    NotEmpty,
    /// The register does not run here.
    #[error("the register of this node does not run: {0}")]
    Failed(String),
}

fn led_by(leader: Option<&str>) -> String {
    match leader {
        Some(leader) => format!("node {leader} does"),
        None => "it is not known who does".to_owned(),
    }
}

/// What an order comes to.
pub(crate) type Outcome = Result<LogPlace, OrderError>;

// === impl OrderError ===

impl From<OrderError> for OrderWord {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotLeader { leader } => {
                Self::NotLeader(leader.and_then(|leader| VoterId::of(&leader)))
            }
            OrderError::Unanswered => Self::Unanswered,
            OrderError::UnderWay => Self::UnderWay,
            OrderError::Unreached(voter) => match VoterId::of(&voter) {
                Some(voter) => Self::Unreached(voter),
                None => Self::Failed(voter),
            },
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<OrderWord> for OrderError {
    fn from(word: OrderWord) -> Self {
        match word {
            OrderWord::NotLeader(leader) => Self::NotLeader {
                leader: leader.map(|leader| leader.to_string()),
            },
            OrderWord::Unanswered => Self::Unanswered,
            OrderWord::UnderWay => Self::UnderWay,
            OrderWord::Unreached(voter) => Self::Unreached(voter.to_string()),
            OrderWord::Failed(why) => Self::Failed(why),
        }
    }
}

/// An outcome as it travels.
pub(crate) fn word(outcome: Outcome) -> Result<PlaceWord, OrderWord> {
    outcome
        .map(|place| PlaceWord(place.term, place.index))
        .map_err(OrderWord::from)
}

/// An outcome that came.
pub(crate) fn outcome(word: Result<PlaceWord, OrderWord>) -> Outcome {
    word.map(|PlaceWord(term, index)| LogPlace { term, index })
        .map_err(OrderError::from)
}
