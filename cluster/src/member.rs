//! Who a node is, as its peers are told: plain data (W1).

use serde::{Deserialize, Serialize};

/// One node of a cluster, in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Stable id, for as long as the node's own state lives.
    pub id: String,
    /// Raised at each start: of two of one id the higher one lives.
    pub incarnation: u64,
    /// Random at each start: tells two processes apart that have copies of one data directory.
    pub life: u64,
    /// What operators call it; unique among the living.
    pub name: String,
    /// Where others dial it, `host:port`.
    pub address: String,
    /// What it does, in words that mean nothing here.
    pub roles: Vec<String>,
    /// What it must share with others.
    pub facts: Vec<Fact>,
}

/// Something that all who have it must have alike (W6), such as one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is, such as `apim database`.
    pub key: String,
    /// Which one.
    pub value: String,
    /// Whether only one node may have it at a time.
    pub alone: bool,
}

// === impl Member ===

impl Member {
    /// Whether it does this.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    /// Why the two cannot be members of one cluster at a time, in words for an operator.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<String> {
        let (mine, theirs) = (&self.facts, &other.facts);
        let pairs = mine
            .iter()
            .flat_map(|one| theirs.iter().map(move |other| (one, other)));
        for (one, another) in pairs.filter(|(one, another)| one.key == another.key) {
            let (key, name) = (&one.key, &other.name);
            // A copy of what is one node's only would not make it two nodes'.
            let alone = (one.alone || another.alone)
                .then_some("and one that only one node can use: give both one on PostgreSQL");
            match (one.value == another.value, alone) {
                (true, None) => {}
                (true, Some(alone)) => return Some(format!("{name} has the same {key}, {alone}")),
                (false, Some(alone)) => return Some(format!("{name} has another {key}, {alone}")),
                (false, None) => {
                    return Some(format!("{name} has another {key}: give both the same one"));
                }
            }
        }
        None
    }
}
