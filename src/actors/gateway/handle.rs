//! What the data plane reads: snapshots and caches directly, an actor only on a miss.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::Guard;
use cluster::{Address, AskError, Clock};
use domain::change::Closed;
use domain::policy::Mode;
use domain::route_table::{Shard, Vhosts, shard_of};
use domain::usage::UsageEvent;
use domain::validation::{Credential, Grant, Secret};
use domain::validation_cache::{Entry, Refusal};
use domain::window::WindowSpec;
use tokio::sync::watch;

use super::caller::Caller;
use super::lease_cache::{KeyParts, Slot};
use super::policy_rule::CountedLimit;
use super::route::ApiRoute;
use super::rules::Rules;
use super::standing::Standing;
use super::state::State;
use super::token_cache::TokenKey;
use super::usage_recorder::Tally;
use super::{keeper, refiller, validator};
use crate::key_manager::hash_hex;
use crate::traffic_manager::TrafficManagerHandle;

/// How long a last word may take.
const LEAVING: Duration = Duration::from_secs(1);
/// Reads the gateway's state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GatewayHandle {
    pub(super) state: Arc<State>,
    pub(super) validator: Address<validator::Message>,
    pub(super) refiller: Address<refiller::Message>,
    pub(super) keeper: Address<keeper::Message>,
    pub(super) tally: Arc<Tally>,
    pub(super) owners: TrafficManagerHandle,
}

/// Which kind of credential a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// A bearer token.
    Bearer,
    /// An API key.
    ApiKey,
}

// === impl GatewayHandle ===

impl GatewayHandle {
    /// The node's time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.state.clock
    }

    /// The virtual hosts.
    #[must_use]
    pub fn vhosts(&self) -> Guard<Arc<Vhosts>> {
        self.state.vhosts.load()
    }

    /// The shard of routes that a canonical path belongs to.
    #[must_use]
    pub fn shard(&self, path: &str) -> Option<Guard<Arc<Shard<ApiRoute>>>> {
        Some(self.state.shards.get(shard_of(path))?.load())
    }

    /// Throttling and deny policies.
    #[must_use]
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.state.rules.load()
    }

    /// The number of the last change that requests see.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.state.applied()
    }

    /// Tells whenever changes have become visible to requests.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.state.changes.subscribe()
    }

    /// Whether calls are answered, by a lease or, when cut off, without one (S5).
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.state.stand.is_lasting(self.steady_ms())
    }

    /// By what a call may be answered now; none when it may not (S2).
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.state.stand.now(self.steady_ms())
    }

    /// The same, after waiting a second for it at most.
    pub async fn standing_soon(&self) -> Option<Standing> {
        self.state.stand.soon(|| self.steady_ms()).await
    }

    /// Tells the control plane that this gateway answers no calls any more.
    pub async fn leave(&self) {
        // Whoever does not hear of it stops waiting for this gateway after a while.
        let _ = self.keeper.ask(LEAVING, keeper::Message::Leave).await;
    }

    /// Whether there is anybody to grant units to calls (L8).
    #[must_use]
    pub fn has_traffic_manager(&self) -> bool {
        self.owners.is_there()
    }

    /// How long ago the change log was last known to be applied to its head; none when it was
    /// not since the start.
    #[must_use]
    pub fn unconfirmed_for(&self) -> Option<Duration> {
        let at_ms = self.state.current_at_ms.load(Ordering::Acquire);
        let since = (at_ms != i64::MIN).then(|| self.steady_ms().saturating_sub(at_ms))?;
        Some(Duration::from_millis(u64::try_from(since).unwrap_or(0)))
    }

    /// Who presents a credential in a tenant, by its [`token_key`](super::token_key): from the cache, else from the
    /// key manager.
    ///
    /// # Errors
    /// A [`Refusal`] when nobody can tell now; 503, never 401.
    pub async fn look_up(
        &self,
        key: TokenKey,
        tenant: &str,
        (presented, text): (Presented, &str),
        now_ms: i64,
    ) -> Result<Arc<Entry<Caller>>, Refusal> {
        if let Some(entry) = self.state.tokens.current(&key, now_ms) {
            return Ok(entry);
        }
        let secret = match presented {
            Presented::Bearer => crate::key_manager::bearer(text),
            Presented::ApiKey => Secret::ApiKey(hash_hex(text)),
        };
        let tenant = tenant.to_owned();
        let credential = Credential { tenant, secret };
        validator::ask(&self.validator, key, credential).await
    }

    /// Whether changes that are applied here say themselves that what was granted once is over: known
    /// at once, also where nobody is left to ask.
    #[must_use]
    pub fn is_over(&self, grant: &Grant) -> bool {
        let ended = self.state.ended.load();
        super::locked(&ended).is_over(grant)
    }

    /// What they say keeps the subscription of a grant from letting its calls through.
    #[must_use]
    pub fn closed(&self, grant: &Grant, subscription: &str) -> Option<Closed> {
        let ended = self.state.ended.load();
        super::locked(&ended).closed(&grant.tenant, subscription, grant.key_type)
    }

    /// The lease of a key, if it was opened and is still kept.
    #[must_use]
    pub fn lease_at_hand(&self, parts: &KeyParts<'_>, window: WindowSpec) -> Option<Arc<Slot>> {
        self.state.leases.get(parts, window)
    }

    /// The lease of a key, opened on its first use; waits for that as long as the caller has `patience`.
    ///
    /// # Errors
    /// When the accounts cannot be reached; then the request is held or refused (L8).
    pub async fn lease(
        &self,
        parts: KeyParts<'_>,
        window: WindowSpec,
        patience: Duration,
    ) -> Result<Arc<Slot>, AskError> {
        if let Some(slot) = self.lease_at_hand(&parts, window) {
            return Ok(slot);
        }
        let key = parts.to_key();
        let open = |reply| refiller::Message::Open(key, window, reply);
        self.refiller.ask(patience, open).await
    }

    /// Asks for more units, as of late and `waited_for` besides; never waits.
    pub fn refill(&self, slot: &Arc<Slot>, waited_for: u32) {
        let slot = Arc::clone(slot);
        let _ = self
            .refiller
            .tell(refiller::Message::Refill { slot, waited_for });
    }

    /// Whether nobody answers for the shard of a key now (L8).
    #[must_use]
    pub fn is_unowned(&self, slot: &Slot) -> bool {
        self.state.unowned.has(slot.shard, self.steady_ms())
    }

    /// Whether a call that nobody could grant units to goes on without, as its policy's mode says (L8); counted here.
    #[must_use]
    pub fn lets_through(
        &self,
        parts: KeyParts<'_>,
        limit: &CountedLimit,
        mode: Mode,
        units: u32,
    ) -> bool {
        let at_ms = self.state.clock.now_ms();
        self.state
            .unowned
            .lets_through(parts, limit, mode, units, at_ms)
    }

    /// Milliseconds of the steady clock, on which leases run (L7): it is so late at least. What ends at some time is judged by
    /// it; leases begin by the earlier reading, from when they were asked for.
    #[must_use]
    pub fn steady_ms(&self) -> i64 {
        let now = self.state.clock.steady_at_least();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    }

    /// Appends what is known of calls to the metrics, as Prometheus text.
    pub fn write_metrics(&self, text: &mut String) {
        self.tally.write_metrics(text);
    }

    /// A call begins that will leave its usage; waits in the rare case that no number for it is
    /// reserved yet.
    pub async fn begin_usage(&self) {
        self.tally.begin().await;
    }

    /// The same for a call that is refused before anything is done for it: it waits for nothing, and where no number for
    /// its usage is there yet, a crash loses it untold.
    pub fn begin_usage_at_once(&self) {
        self.tally.begin_at_once();
    }

    /// Calls that began and have not left their usage yet.
    #[must_use]
    pub fn open_calls(&self) -> u64 {
        self.tally.open()
    }

    /// Leaves what a call was; never waits.
    pub fn record_usage(&self, event: UsageEvent) {
        self.tally.record(event);
    }
}
