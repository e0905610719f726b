//! What a node says of its actors and its settings when another one shows them to operators. It is said beside all
//! mailboxes, so that nothing hides who hangs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::door::{Door, Request};
use crate::registry::{ActorReport, System};
use crate::self_report::SelfReport;

/// The most actors of one answer, so that it fits into a message.
const MOST: usize = 500;

/// Asks a node for its actors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AskActors {
    /// Only those whose name begins so.
    pub prefix: String,
    /// Only those of this kind; all where it is empty.
    pub kind: String,
}

/// A node's actors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorsSeen {
    /// By name.
    pub actors: Vec<ActorReport>,
    /// Whether there are more than an answer holds.
    pub more: bool,
}

/// Asks a node for one of its actors, and what that shows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AskActor {
    /// Which.
    pub name: String,
    /// Whether it is to show itself anew: what it shows is there a moment later.
    pub anew: bool,
}

/// What there is of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorFound(pub Option<ActorSeen>);

/// One actor, and what it showed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorSeen {
    /// Its numbers.
    pub report: ActorReport,
    /// What it showed last; none before it did, and for supervisors.
    pub shown: Option<SelfReport>,
    /// How long ago that was, milliseconds.
    pub age_ms: u64,
    /// Whether it was asked to show itself anew and has not yet.
    pub is_asked: bool,
}

/// Has a node end an actor's present incarnation; its supervisor starts the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartActor {
    /// Which.
    pub name: String,
    /// Who ordered it.
    pub user: String,
    /// Of which tenant.
    pub tenant: String,
    /// By name, the node where that was ordered.
    pub at: String,
}

/// Asks a node what it is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskSettings;

/// What it is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsSeen(pub Vec<SettingSeen>);

/// One setting that is in force; secrets were masked by whoever read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingSeen {
    /// Section and key.
    pub key: String,
    /// What it is.
    pub value: String,
    /// Where that was read.
    pub origin: String,
}

/// Whether there is such an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRestarts(pub bool);

impl Request for AskActors {
    type Reply = ActorsSeen;
    const KIND: u16 = 65_013;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
}

impl Request for AskActor {
    type Reply = ActorFound;
    const KIND: u16 = 65_016;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
}

impl Request for RestartActor {
    type Reply = ActorRestarts;
    const KIND: u16 = 65_014;
    const VERSION: u16 = 1;
    const SINCE: u16 = 3;
}

impl Request for AskSettings {
    type Reply = SettingsSeen;
    const KIND: u16 = 65_015;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
}

impl System {
    /// What is asked of this node's actors.
    #[must_use]
    pub fn actors(&self, asked: &AskActors) -> ActorsSeen {
        let fits = |actor: &ActorReport| {
            actor.name.starts_with(&asked.prefix)
                && (asked.kind.is_empty() || actor.kind == asked.kind)
        };
        let mut actors = self.registry.report(self.clock.monotonic());
        actors.retain(fits);
        let more = actors.len() > MOST;
        actors.truncate(MOST);
        ActorsSeen { actors, more }
    }

    /// What is asked of one of this node's actors.
    #[must_use]
    pub fn actor(&self, asked: &AskActor) -> ActorFound {
        let now = self.clock.monotonic();
        ActorFound(self.registry.look(&asked.name, asked.anew, now))
    }
}

impl Cluster {
    /// Shows this node's actors to others from now on, and has them started anew for those.
    pub fn show_actors(&self, system: &System) {
        let shown = system.clone();
        self.serve(Door::<AskActors>::answering(move |asked| {
            shown.actors(&asked)
        }));
        let one = system.clone();
        self.serve(Door::<AskActor>::answering(move |asked| one.actor(&asked)));
        let registry = Arc::clone(&system.registry);
        self.serve(Door::<RestartActor>::answering(move |asked| {
            let restarts = registry.restart(&asked.name);
            let RestartActor {
                name,
                user,
                tenant,
                at,
            } = asked;
            let outcome = if restarts { "done" } else { "refused: there is no such actor" };
            tracing::info!(target: "audit", user, tenant, actor = name, at, outcome, "an actor is started anew on another node's order");
            ActorRestarts(restarts)
        }));
    }

    /// Shows others from now on what this node is configured with.
    pub fn show_settings(&self, settings: impl Fn() -> SettingsSeen + Send + Sync + 'static) {
        self.serve(Door::<AskSettings>::answering(move |_| settings()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden_tests::written;
    use crate::times::Lately;

    fn report() -> ActorReport {
        ActorReport {
            name: "a".to_owned(),
            kind: "k".to_owned(),
            received: 1,
            handled: 2,
            depth: 3,
            errors: 4,
            restarts: 5,
            busy_ns: 6,
            last_error: Some("e".to_owned()),
            times_ns: [7, 8, 9],
            lately: Some(Lately {
                for_ms: 10,
                received: 11,
                handled: 12,
                busy_ns: 13,
            }),
        }
    }

    #[test]
    fn their_bytes_are_those_that_other_builds_read() {
        let asked = AskActors {
            prefix: "gateway/".to_owned(),
            kind: "k".to_owned(),
        };
        let seen = ActorsSeen {
            actors: vec![report()],
            more: true,
        };
        let one = AskActor {
            name: "a".to_owned(),
            anew: true,
        };
        let found = ActorFound(Some(ActorSeen {
            report: report(),
            shown: Some(SelfReport::default().with("s", 1).linked("l")),
            age_ms: 14,
            is_asked: true,
        }));
        let restart = RestartActor {
            name: "a".to_owned(),
            user: "u".to_owned(),
            tenant: "t".to_owned(),
            at: "n".to_owned(),
        };
        let settings = SettingsSeen(vec![SettingSeen {
            key: "a.b".to_owned(),
            value: "c".to_owned(),
            origin: "d".to_owned(),
        }]);
        let bytes = [
            written(65_015, 1, &AskSettings),
            written(65_015, 1, &settings),
            written(65_013, 1, &asked),
            written(65_013, 1, &seen),
            written(65_016, 1, &one),
            written(65_016, 1, &found),
            written(65_014, 1, &restart),
            written(65_014, 1, &ActorRestarts(true)),
        ];
        assert_eq!(bytes, GOLDEN);
    }

    const GOLDEN: [&str; 8] = [
        "fdf7000100000000",
        "fdf70001000000090103612e6201630164",
        "fdf500010000000b08676174657761792f016b",
        "fdf5000100000017010161016b010203040506010165070809010a0b0c0d01",
        "fdf8000100000003016101",
        "fdf8000100000021010161016b010203040506010165070809010a0b0c0d01010173013101016c0e01",
        "fdf6000100000008016101750174016e",
        "fdf600010000000101",
    ];
}
