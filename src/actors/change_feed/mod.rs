//! The change feed: serves the change log to followers and knows how far each of them is.
//!
//! `actor` answers pulls, acknowledgements and waits; `snapshots` gives whole states piece by
//! piece beside it (C3); `pruner` keeps the log bounded, `registrar` writes down who follows. What is known of the followers lies in
//! one place that outlives a restart of any of the four.

mod actor;
mod asking;
#[cfg(test)]
mod crash_tests;
mod fitting;
mod handle;
#[cfg(test)]
mod large_tests;
pub mod message;
mod pieces;
mod positions;
mod pruner;
mod registrar;
mod registration;
mod snapshots;
#[cfg(test)]
mod standing_still_tests;
#[cfg(test)]
mod tests;
mod together;
mod transfer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{Address, Child, Clock, Door, System, branch, child};
use domain::change_log::Followers;
use domain::serving_lease::OVER_MS;
use storage::Database;

use actor::{Feed, FeedArguments, FeedMessage};
use pruner::{Pruner, PrunerArguments};
use registrar::{Registrar, RegistrarArguments};
use snapshots::{SnapshotArguments, SnapshotMessage, Snapshots};

pub(crate) use asking::{Asking, Came};
pub use domain::change_log::{Applied, How, Missing};
pub use handle::{ChangeFeedHandle, Changed, Committed, Saved};
pub use positions::{FollowerAt, Positions, Standing};

pub(crate) use transfer::{Arrived, Transfer, Waits};

/// What is known of the followers, shared by the actors of this component.
type SharedFollowers = Arc<Mutex<Followers>>;

/// What of the feed may be set.
#[derive(Debug, Clone, Copy)]
pub struct FeedSettings {
    /// Entries that are kept at least (C3).
    pub retention: u64,
    /// How long a change waits for its followers before the answer names who has not applied it;
    /// at least [`OVER_MS`], so that no lease from before the change is good by then (C6, S3).
    pub wait: Duration,
}

// === impl FeedSettings ===

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            retention: 10_000,
            wait: Duration::from_millis(OVER_MS.unsigned_abs()),
        }
    }
}

/// Milliseconds of the boot clock: nobody is silent because a clock was set.
fn boot_ms(clock: &Clock) -> i64 {
    i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX)
}

/// The change feed of a control-plane node over API-M and Shared.
#[must_use]
pub fn component(
    system: &System,
    apim: &Database,
    shared: &Database,
    settings: FeedSettings,
) -> (ChangeFeedHandle, Child) {
    let followers = SharedFollowers::default();
    let (registrar, registrar_child) = child::<Registrar>(
        system,
        "change-feed/registrar",
        RegistrarArguments {
            clock: system.clock.clone(),
            apim: apim.clone(),
            followers: Arc::clone(&followers),
        },
    );
    let followers_shown = Arc::clone(&followers);
    let (feed, feed_child) = child::<Feed>(
        system,
        "change-feed/feed",
        FeedArguments {
            clock: system.clock.clone(),
            apim: apim.clone(),
            followers: Arc::clone(&followers),
            registrar,
        },
    );
    let (snapshots, snapshots_child) = child::<Snapshots>(
        system,
        "change-feed/snapshots",
        SnapshotArguments {
            clock: system.clock.clone(),
            apim: apim.clone(),
            shared: shared.clone(),
        },
    );
    let (_, pruner_child) = child::<Pruner>(
        system,
        "change-feed/pruner",
        PrunerArguments {
            clock: system.clock.clone(),
            apim: apim.clone(),
            followers,
            retention: settings.retention,
        },
    );
    let afar = afar(system, feed.clone(), snapshots.clone());
    let handle = handle(system, feed, snapshots)
        .open_to(afar)
        .patient(settings.wait)
        .showing(followers_shown);
    let children = vec![registrar_child, feed_child, snapshots_child, pruner_child];
    (handle, branch(system, "change-feed", children))
}

fn handle(
    system: &System,
    feed: Address<FeedMessage>,
    snapshots: Address<SnapshotMessage>,
) -> ChangeFeedHandle {
    let positions =
        Door::local(
            system,
            feed.clone(),
            FeedMessage::Positions,
            |message| match message {
                FeedMessage::Positions(asked) => Some(asked),
                _ => None,
            },
        );
    let handle = ChangeFeedHandle::new(
        Door::local(
            system,
            feed.clone(),
            FeedMessage::Pull,
            |message| match message {
                FeedMessage::Pull(asked) => Some(asked),
                _ => None,
            },
        ),
        Door::local(
            system,
            snapshots,
            SnapshotMessage::Piece,
            |message| match message {
                SnapshotMessage::Piece(asked) => Some(asked),
                SnapshotMessage::PieceFromAfar(_) => None,
            },
        ),
        Door::local(
            system,
            feed.clone(),
            FeedMessage::Heartbeat,
            |message| match message {
                FeedMessage::Heartbeat(asked) => Some(asked),
                _ => None,
            },
        ),
        Door::local(system, feed, FeedMessage::Wait, |message| match message {
            FeedMessage::Wait(asked) => Some(asked),
            _ => None,
        }),
    );
    handle.told_at(positions)
}

/// The doors through which followers on other nodes pull.
fn afar(
    system: &System,
    feed: Address<FeedMessage>,
    snapshots: Address<SnapshotMessage>,
) -> (Door<message::Pull>, Door<message::Snapshot>) {
    (
        Door::local(
            system,
            feed,
            FeedMessage::PullFromAfar,
            |message| match message {
                FeedMessage::PullFromAfar(asked) => Some(asked),
                _ => None,
            },
        ),
        Door::local(
            system,
            snapshots,
            SnapshotMessage::PieceFromAfar,
            |message| match message {
                SnapshotMessage::PieceFromAfar(asked) => Some(asked),
                SnapshotMessage::Piece(_) => None,
            },
        ),
    )
}
