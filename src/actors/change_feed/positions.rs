//! Where the change log stands and how far its followers are, for whoever looks after the cluster.

use serde::{Deserialize, Serialize};

use cluster::{Asked, Request};
use domain::change_log::Registered;
use domain::serving_lease::FollowerKind;

use super::actor::Feed;

/// Asks a node of the control plane for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Positions;

/// The answer to [`Positions`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// As that node sees it.
    At {
        /// The last entry.
        head: u64,
        /// Everybody who is registered.
        followers: Vec<FollowerAt>,
    },
    /// The node cannot read its database now.
    Unavailable,
}

/// One follower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerAt {
    /// The name it follows under: `gateway@` or `traffic-manager@`, and its node's id.
    pub name: String,
    /// What it follows for.
    pub kind: FollowerKind,
    /// The last entry that it has applied; none where this node has not heard it.
    pub applied: Option<u64>,
    /// How long it has been silent, milliseconds; none where this node has not heard it.
    pub silent_ms: Option<u64>,
    /// Whether no change waits for it, so that it has to register before it gets a lease (S3).
    pub fenced: bool,
}

impl Request for Positions {
    type Reply = Standing;
    const KIND: u16 = 0x0310;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Feed {
    pub(super) async fn tell_positions(&mut self, asked: Asked<Positions>) {
        let standing = match self.registered().await {
            None => Standing::Unavailable,
            Some(registered) => {
                let now_ms = self.now_ms();
                let at = |one: Registered| {
                    let known = self.followers(|all| all.standing(&one.name, now_ms));
                    FollowerAt {
                        applied: known.map(|(applied, _)| applied),
                        silent_ms: known.map(|(_, silent_ms)| silent_ms),
                        name: one.name,
                        kind: one.kind,
                        fenced: one.fenced_at_ms.is_some(),
                    }
                };
                let followers = registered.into_iter().filter(|one| !one.is_gone());
                Standing::At {
                    head: self.head,
                    followers: followers.map(at).collect(),
                }
            }
        };
        asked.reply.send(standing);
    }
}
