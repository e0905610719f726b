//! The gateway: follows the change log, answers requests from snapshots, asks the key manager and
//! the traffic managers for what the snapshots lack, and counts calls.
//!
//! | actor | state |
//! |---|---|
//! | `gateway/keeper` | the right to answer calls, kept by heartbeats |
//! | `gateway/follower` | the projection of the change log, written to Carbon |
//! | `gateway/validator` | questions to the key manager, the token cache, who was heard of |
//! | `gateway/refiller` | the accounts of leases |
//! | `gateway/usage` | events on their way to the usage store |

mod accounts;
#[cfg(test)]
mod batch_tests;
mod call_sums;
mod caller;
mod consumers;
#[cfg(test)]
mod crash_tests;
mod ended;
mod follower;
#[cfg(test)]
mod follower_tests;
mod given_back;
mod gone;
mod handle;
mod inbox;
mod judging;
#[cfg(test)]
mod judging_tests;
mod keeper;
mod lease_cache;
mod line;
mod local;
#[cfg(test)]
mod local_tests;
#[cfg(test)]
mod message_counts_tests;
#[cfg(test)]
mod modes_tests;
mod policy_rule;
mod projection;
mod reach;
mod recalled;
mod refiller;
#[cfg(test)]
mod refiller_tests;
#[cfg(test)]
mod reset_tests;
mod restore;
mod route;
mod rules;
mod standing;
mod state;
mod taking;
#[cfg(test)]
mod taking_tests;
#[cfg(test)]
mod tests;
mod token_cache;
mod touched;
#[cfg(test)]
mod transfer_tests;
mod under_way;
mod unowned;
mod usage_recorder;
#[cfg(test)]
mod usage_recorder_tests;
mod validator;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::{Address, Child, Clock, Door, System, branch, child};
use domain::serving_lease::FollowerKind;
use storage::Database;

use crate::change_feed::ChangeFeedHandle;
use crate::key_manager::KeyManagerHandle;
use crate::traffic_manager::{GatewayLeases, TrafficManagerHandle};
use crate::usage::UsageHandle;

pub use caller::{Caller, Granted};
pub use handle::{GatewayHandle, Presented};
pub use lease_cache::{KeyParts, Slot};
pub use policy_rule::{CountedLimit, PolicyRule};
pub use route::{ApiRoute, Upstream};
pub use rules::{Facts, Rules};
pub use standing::{CutOff, Standing};
pub use taking::{Wants, take};
pub use token_cache::{TokenCache, TokenKey, token_key};

/// What a gateway is made of.
pub struct Parts {
    /// The node's Carbon database.
    pub carbon: Database,
    /// The change log.
    pub feed: ChangeFeedHandle,
    /// Who validates credentials.
    pub key_manager: KeyManagerHandle,
    /// Who grants leases.
    pub traffic_manager: TrafficManagerHandle,
    /// Where those who grant leases find this gateway.
    pub leases: GatewayLeases,
    /// Where usage goes.
    pub usage: UsageHandle,
    /// The node's stable name, under which it acknowledges changes.
    pub name: String,
    /// The node's stable id, under which it holds leases.
    pub node: String,
    /// The node's incarnation (W1).
    pub incarnation: u64,
    /// What it does while nobody of the control plane answers (S5).
    pub cut_off: CutOff,
}

/// The gateway's subtree and the handle to it.
#[must_use]
pub fn component(system: &System, parts: Parts) -> (GatewayHandle, Child) {
    let state = nothing_yet(system, parts.cut_off);
    let (validator, first) = child::<validator::Validator>(
        system,
        "gateway/validator",
        validator::Arguments {
            state: Arc::clone(&state),
            key_manager: parts.key_manager,
            lives: Arc::default(),
        },
    );
    let owners = parts.traffic_manager.clone();
    let accounts = refiller::Arguments {
        state: Arc::clone(&state),
        traffic_manager: parts.traffic_manager,
        node: parts.node,
        incarnation: parts.incarnation,
        leases: Arc::new(AtomicU64::new(0)),
    };
    let (refiller, second) = leases(system, "gateway/refiller", accounts, &parts.leases);
    let (tally, inbox) = usage_recorder::Tally::new();
    let recorded = usage_recorder::Arguments {
        tally: Arc::clone(&tally),
        usage: parts.usage,
        inbox,
    };
    let (_, third) = child::<usage_recorder::UsageRecorder>(system, "gateway/usage", recorded);
    let kept = keeper::Arguments {
        state: Arc::clone(&state),
        feed: parts.feed.clone(),
        name: parts.name.clone(),
        incarnation: parts.incarnation,
        kind: FollowerKind::Calls(parts.cut_off.when),
    };
    let (keeper, fifth) = child::<keeper::Keeper>(system, "gateway/keeper", kept);
    let (_, fourth) = child::<follower::Follower>(
        system,
        "gateway/follower",
        follower::Arguments {
            state: Arc::clone(&state),
            feed: parts.feed,
            carbon: parts.carbon,
            validator: validator.clone(),
            refiller: refiller.clone(),
            keeper: keeper.clone(),
            name: parts.name,
            lives: Arc::new(AtomicU64::new(0)),
        },
    );
    let handle = GatewayHandle {
        state,
        validator,
        refiller,
        keeper,
        tally,
        owners,
    };
    let children = vec![first, second, third, fifth, fourth];
    (handle, branch(system, "gateway", children))
}

/// What requests read before anything is known.
fn nothing_yet(system: &System, cut_off: CutOff) -> Arc<state::State> {
    Arc::new(state::State {
        stand: standing::Stand::new(cut_off),
        ..state::State::new(system.clock.clone())
    })
}

/// Who keeps the accounts of leases, open to those who grant them (L9).
fn leases(
    system: &System,
    name: &str,
    arguments: refiller::Arguments,
    gateways: &GatewayLeases,
) -> (Address<refiller::Message>, Child) {
    let node = arguments.node.clone();
    let (refiller, child) = child::<refiller::Refiller>(system, name, arguments);
    let unwrap = |message| match message {
        refiller::Message::Told(asked) => Some(asked),
        _ => None,
    };
    let told = refiller::Message::Told;
    let door = Door::local(system, refiller.clone(), told, unwrap);
    gateways.admit(&node, door);
    (refiller, child)
}

/// What a lock guards; whoever panicked meanwhile has left it whole.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the machine began, suspension included, by its own oscillator: the boot clock is slewed with the wall
/// clock, and a lease would last longer by it where that is slowed. It is so late at most: leases begin by it.
fn steady_ms(clock: &Clock) -> i64 {
    i64::try_from(clock.steady().as_millis()).unwrap_or(i64::MAX)
}
