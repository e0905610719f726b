//! Calls that were handed to their upstream and have not ended. A change that ends what one of them
//! rests on (its credential, the subscription, the application, the user, the API, that nobody denies
//! it) cuts it within moments of being applied (S2): each is judged anew as one that comes now.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actors::gateway::{ApiRoute, Caller};
use cluster::spawn_named;
use domain::lease::Basket;
use domain::open_call::{AGAIN_MS, Judged, LOOK_MS, Next, Patience, Unserved};
use domain::route_table::Route;
use domain::validation_cache::{Entry, Hit};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use tokio::sync::Notify;

use super::authenticate::authenticate;
use super::authorize::{authorize, invalid, not_subscribed};
use super::exchange::{Decision, Exchange};
use super::fault::Fault;
use super::ingress::Ingress;
use super::intake::Intake;
use super::matching::{find_api, find_resource};
use super::throttle::deny;

/// Calls that begin at once find the register free.
const PARTS: usize = 16;
/// Changes that follow one another faster are looked at together.
const PAUSE: Duration = Duration::from_millis(100);
type Part = Mutex<HashMap<u64, Arc<OpenCall>>>;

/// The register of a gateway's open calls.
#[derive(Debug)]
pub(super) struct OpenCalls {
    parts: [Part; PARTS],
    next: AtomicU64,
    /// A call was entered while changes were applied.
    late: Arc<Notify>,
}

/// One of them.
struct OpenCall {
    intake: Arc<Intake>,
    /// What it rests on; none while that is being judged.
    rests_on: Mutex<Option<Box<Exchange>>>,
    /// Whether it is to be judged once more after that.
    again: AtomicBool,
    /// Told whenever that is set: a change may say itself what whoever judges it waits to hear.
    news: Notify,
}

/// The fields that a call is judged by, of which there are few: the rest is the upstream's.
pub(super) struct JudgedFields(Vec<(HeaderName, HeaderValue)>);

/// Keeps a call in the register, until both its bodies have ended.
#[derive(Debug)]
pub(super) struct Entered {
    ingress: Arc<Ingress>,
    number: u64,
}

/// What was granted to a call before changes touched it.
struct RestsOn {
    ingress: Arc<Ingress>,
    caller: Option<Arc<Entry<Caller>>>,
    route: Option<Arc<Route<ApiRoute>>>,
}

/// A call whose judge panics would never be judged again.
struct CutWhenLost(Arc<Intake>);

/// Looks at the open calls whenever changes were applied, as long as there is a gateway.
pub(super) fn watch(ingress: &Arc<Ingress>) {
    let mut changes = ingress.gateway.changes();
    let late = Arc::clone(&ingress.open_calls.late);
    let ingress = Arc::downgrade(ingress);
    spawn_named("open calls", async move {
        let mut looks = tokio::time::interval(millis(LOOK_MS));
        // A process that stood still has looked once, not as often as it would have.
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut unserved = Unserved::default();
        loop {
            let (is_over, is_look) = tokio::select! {
                changed = changes.changed() => (changed.is_err(), false),
                () = late.notified() => (false, false),
                _ = looks.tick() => (false, true),
            };
            let ingress = ingress.upgrade().filter(|_| !is_over);
            let Some(ingress) = ingress else { return };
            if is_look {
                if unserved.look(ingress.gateway.standing().is_some()) {
                    cut_all(&ingress);
                }
                continue;
            }
            // One that makes its judge panic must not save the others.
            let round = spawn_named("open calls judged", async move { round(&ingress).await });
            if let Err(error) = round.await {
                tracing::error!(%error, "open calls could not be judged anew");
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Nobody is served any more, neither those who came before.
fn cut_all(ingress: &Ingress) {
    for part in &ingress.open_calls.parts {
        let calls: Vec<_> = held(part).values().cloned().collect();
        for call in calls {
            if call.intake.cut(cannot_tell()) {
                metrics::counter!("headgate_gateway_cut_calls_total").increment(1);
            }
        }
    }
}

async fn round(ingress: &Ingress) {
    for part in &ingress.open_calls.parts {
        let calls: Vec<_> = held(part).values().cloned().collect();
        for call in calls {
            // Set first: whoever judges it now looks for that at the end.
            call.again.store(true, Ordering::Release);
            call.news.notify_one();
            OpenCall::look(&call);
        }
        tokio::task::yield_now().await;
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl OpenCalls ===

impl Default for OpenCalls {
    fn default() -> Self {
        Self {
            parts: std::array::from_fn(|_| Part::default()),
            next: AtomicU64::new(0),
            late: Arc::default(),
        }
    }
}

impl OpenCalls {
    fn part(&self, number: u64) -> Option<&Part> {
        self.parts.get((number % PARTS as u64) as usize)
    }
}

// === impl Entered ===

impl Entered {
    /// Enters a call that is handed on, with what was kept of its fields.
    pub(super) fn new(exchange: &Exchange, fields: &JudgedFields) -> Arc<Self> {
        let ingress = Arc::clone(&exchange.ingress);
        let open_calls = &ingress.open_calls;
        let number = open_calls.next.fetch_add(1, Ordering::Relaxed);
        let call = OpenCall {
            intake: Arc::clone(&exchange.intake),
            rests_on: Mutex::new(Some(Box::new(resting(exchange, fields)))),
            again: AtomicBool::new(false),
            news: Notify::new(),
        };
        if let Some(part) = open_calls.part(number) {
            held(part).insert(number, Arc::new(call));
        }
        // A round may have gone by between its judgement and this.
        if ingress.gateway.applied() != exchange.applied {
            open_calls.late.notify_one();
        }
        metrics::gauge!("headgate_gateway_streams").increment(1);
        Arc::new(Self { ingress, number })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        metrics::gauge!("headgate_gateway_streams").decrement(1);
        let part = self.ingress.open_calls.part(self.number);
        // What it held is dropped after the lock.
        drop(part.and_then(|part| held(part).remove(&self.number)));
    }
}

/// What has to be so for the call to go on, without what it took and what it is accounted with.
fn resting(exchange: &Exchange, fields: &JudgedFields) -> Exchange {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = exchange.head.method.clone();
    head.uri = exchange.head.uri.clone();
    head.version = exchange.head.version;
    head.headers = HeaderMap::with_capacity(fields.0.len());
    for (name, value) in &fields.0 {
        head.headers.append(name, value.clone());
    }
    Exchange {
        ingress: Arc::clone(&exchange.ingress),
        head,
        handshake: None,
        address: exchange.address,
        peer: exchange.peer.clone(),
        at_ms: exchange.at_ms,
        began: exchange.began,
        request_id: exchange.request_id.clone(),
        applied: exchange.applied,
        rules: Arc::clone(&exchange.rules),
        route: exchange.route.clone(),
        place: None,
        intake: Arc::clone(&exchange.intake),
        accounted: true,
        matched: None,
        caller: exchange.caller.clone(),
        application_id: None,
        held_until_ms: None,
        basket: Basket::default(),
        meters: None,
        open: None,
        decision: Decision::default(),
    }
}

// === impl JudgedFields ===

impl JudgedFields {
    /// Keeps them, before the others are handed on.
    pub(super) fn of(exchange: &Exchange) -> Self {
        let (mut kept, given) = (Vec::new(), &exchange.head.headers);
        let api = exchange.route.as_ref().map(|route| &route.api);
        let credentials = api.map(|api| [&api.bearer, &api.api_key]);
        let names = credentials.into_iter().flatten();
        for name in names.chain([&header::HOST, &header::REFERER]) {
            // Two names may be one.
            if kept.iter().all(|(known, _)| known != name) {
                let values = given.get_all(name).iter();
                kept.extend(values.map(|value| (name.clone(), value.clone())));
            }
        }
        Self(kept)
    }
}

// === impl RestsOn ===

impl RestsOn {
    fn of(exchange: &Exchange) -> Self {
        Self {
            ingress: Arc::clone(&exchange.ingress),
            caller: exchange.caller.clone(),
            route: exchange.route.clone(),
        }
    }

    /// Refuses what changes themselves say is over. Nobody needs to be asked for that, and nobody may
    /// be there: no key manager, or nobody at all.
    fn is_not_over(&self) -> Result<(), Fault> {
        let gateway = &self.ingress.gateway;
        let caller = self.caller.as_ref().map(|entry| entry.said());
        match caller {
            Some(Caller::Granted(granted)) if gateway.is_over(&granted.grant) => {
                Err(invalid(&granted.grant))
            }
            _ => Ok(()),
        }
    }

    /// The same, and refuses the subscription that it was let in by, if that is closed: the caller may have made
    /// another one since, which only a judgement can tell.
    fn is_not_closed(&self) -> Result<(), Fault> {
        self.is_not_over()?;
        let gateway = &self.ingress.gateway;
        let caller = self.caller.as_ref().map(|entry| entry.said());
        let (Some(Caller::Granted(granted)), Some(route)) = (caller, &self.route) else {
            return Ok(());
        };
        let artifact = &route.api.artifact;
        let held = granted.subscription(&artifact.api_id);
        let held = held.filter(|_| !artifact.plans.is_empty());
        let closed = held.and_then(|(held, _)| gateway.closed(&granted.grant, &held.id));
        closed.map_or(Ok(()), |closed| Err(not_subscribed(closed, &granted.grant)))
    }
}

// === impl OpenCall ===

impl std::fmt::Debug for OpenCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCall").finish_non_exhaustive()
    }
}

impl OpenCall {
    /// Sees whether anything that the call rests on has changed, and has it judged if so.
    fn look(call: &Arc<Self>) {
        let mut rests_on = held(&call.rests_on);
        let is_moved = rests_on.as_ref().is_some_and(|exchange| moved(exchange));
        if !is_moved {
            return;
        }
        if let Some(exchange) = rests_on.take() {
            let call = Arc::clone(call);
            let lost = CutWhenLost(Arc::clone(&call.intake));
            spawn_named("open call judged", async move {
                call.judge(exchange).await;
                drop(lost);
            });
        }
    }

    /// Judges until nothing is new, or the call is over.
    async fn judge(self: Arc<Self>, mut exchange: Box<Exchange>) {
        let mut patience = Patience::default();
        loop {
            self.again.store(false, Ordering::Release);
            let rests_on = RestsOn::of(&exchange);
            let left = millis(patience.begin(exchange.ingress.gateway.steady_ms()));
            let judging = tokio::time::timeout(left, judge(&mut exchange));
            let judged = match self.unless_over(&rests_on, judging).await {
                Ok(judged) => judged.unwrap_or_else(|_| Judged::Unsure(cannot_tell())),
                Err(fault) => Judged::Ended(fault),
            };
            match patience.step(judged, exchange.ingress.gateway.steady_ms()) {
                Next::Cut(fault) => return cut(&exchange, fault),
                Next::Again => {
                    let pause = tokio::time::sleep(millis(AGAIN_MS));
                    if let Err(fault) = self.unless_over(&rests_on, pause).await {
                        return cut(&exchange, fault);
                    }
                }
                Next::GoesOn => {
                    let mut rests_on = held(&self.rests_on);
                    if !self.again.load(Ordering::Acquire) {
                        *rests_on = Some(exchange);
                        return;
                    }
                }
            }
            // Only this task holds it: the call has ended by itself.
            if Arc::strong_count(&self) == 1 {
                return;
            }
        }
    }

    /// Waits, unless a change that comes meanwhile says itself that the call is over.
    async fn unless_over<F: Future>(
        &self,
        rests_on: &RestsOn,
        wait: F,
    ) -> Result<F::Output, Fault> {
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return Ok(done),
                () = self.news.notified() => rests_on.is_not_closed()?,
            }
        }
    }
}

impl Drop for CutWhenLost {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cut(Fault::platform("The call cannot be judged"));
        }
    }
}

/// Whether anything of it is not what it was when the call was judged.
fn moved(exchange: &Exchange) -> bool {
    let same_rules = Arc::ptr_eq(&exchange.rules, &exchange.ingress.gateway.rules());
    if !same_rules || is_touched(exchange) {
        return true;
    }
    match (find_api(exchange), &exchange.route) {
        (Ok(found), Some(route)) => !Arc::ptr_eq(&found.route, route),
        _ => true,
    }
}

fn is_touched(exchange: &Exchange) -> bool {
    let touched = |caller: &Arc<Entry<Caller>>| matches!(caller.hit(exchange.at_ms), Hit::Touched);
    exchange.caller.as_ref().is_some_and(touched)
}

/// What a call like this one is answered now; nothing is taken for it.
async fn judge(exchange: &mut Exchange) -> Judged<Fault> {
    let outcome = admit(exchange).await;
    match outcome {
        Ok(()) => Judged::Stands,
        Err(fault) if fault.is_unsure() => Judged::Unsure(fault),
        Err(fault) => Judged::Ended(fault),
    }
}

async fn admit(exchange: &mut Exchange) -> Result<(), Fault> {
    exchange.rules = Arc::clone(&exchange.ingress.gateway.rules());
    let found = find_api(exchange)?;
    exchange.route = Some(Arc::clone(&found.route));
    exchange.matched = Some(find_resource(exchange, found)?);
    // What has only run out meanwhile was good when the call was judged last.
    if exchange.caller.is_none() || is_touched(exchange) {
        RestsOn::of(exchange).is_not_over()?;
        exchange.at_ms = exchange.ingress.gateway.clock().now_ms();
        // Kept until there is another: what it was granted says what ends it.
        let before = exchange.caller.clone();
        authenticate(exchange).await?;
        if is_same(&before, &exchange.caller) {
            // The resource is open to anybody now.
            exchange.caller = None;
        }
    }
    authorize(exchange)?;
    deny(exchange)
}

fn is_same(one: &Option<Arc<Entry<Caller>>>, other: &Option<Arc<Entry<Caller>>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
}

fn cannot_tell() -> Fault {
    Fault::platform("The gateway cannot tell whether what it knows is still so. Try again")
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn cut(exchange: &Exchange, fault: Fault) {
    let request_id = exchange.request_id.to_str().unwrap_or_default();
    tracing::info!(request_id, fault = fault.code, "open call cut by a change");
    metrics::counter!("headgate_gateway_cut_calls_total").increment(1);
    exchange.intake.cut(fault);
}
