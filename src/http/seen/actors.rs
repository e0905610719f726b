//! The actors of every node, each with its counters.

use cluster::{ActorsSeen, AskActors, AskError};

use super::PATIENCE;
use crate::services::Services;

/// What a node said, by its name.
pub(crate) struct Told {
    pub(crate) node: String,
    pub(crate) seen: Result<ActorsSeen, AskError>,
}

// === impl Told ===

impl Told {
    /// Why it said nothing, or not all.
    pub(crate) fn lack(&self) -> Option<String> {
        match &self.seen {
            Ok(seen) if seen.more => {
                Some("it has more than one answer holds, ask by name".to_owned())
            }
            Ok(_) => None,
            Err(error) => Some(why(*error)),
        }
    }
}

/// What all nodes say, this one first.
pub(crate) async fn all(services: &Services, ask: &AskActors) -> Vec<Told> {
    let mine = Told {
        node: services.cluster.me().name.clone(),
        seen: Ok(services.system.actors(ask)),
    };
    let others = services.cluster.ask_members(ask, PATIENCE).await;
    let others = others.into_iter().map(|(state, seen)| Told {
        node: state.member.name,
        seen,
    });
    std::iter::once(mine).chain(others).collect()
}

/// Why a node has not told what it was asked for, or not done what it was told.
pub(crate) fn why(error: AskError) -> String {
    match error {
        AskError::Unsupported => {
            "the version of the protocol that is spoken with it has no word for this; ask the node \
             itself, or have both speak the newest (`headgate status` shows what each speaks)"
                .to_owned()
        }
        // Nobody there took the ask.
        AskError::Unavailable => {
            "there is no connection with it: it is gone, or cut off (`headgate status`)".to_owned()
        }
        error => error.to_string(),
    }
}
