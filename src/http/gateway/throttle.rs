//! How often and how much: deny policies first, then a unit, or bytes to begin with, at the API or resource, the
//! subscription with its burst, the application with its burst. What was taken goes back when a later level refuses.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::{
    ApiRoute, CountedLimit, Facts, GatewayHandle, Granted, KeyParts, Slot, Wants,
};
use cluster::AskError;
use domain::lease::{QuotaHint, Refused};
use domain::policy::{Mode, PolicyLevel, QuotaUnit, SUBSCRIPTIONLESS, UNAUTHENTICATED, UNLIMITED};
use http::{StatusCode, header};

use super::exchange::{Exchange, granted};
use super::fault::{Extra, Fault};
use super::held::{Place, held_too_long};
use super::ingress::Ingress;
use super::meters::Meters;
use super::stamp;

/// A level at which a unit is taken.
struct Level<'a> {
    tenant: &'a str,
    level: PolicyLevel,
    policy: &'a str,
    subject: Cow<'a, str>,
    /// Codes of its limit and of its burst.
    codes: (u32, u32),
}

/// A request's place among those that are held, as soon as it has to wait.
struct Hold<'a> {
    ingress: &'a Ingress,
    place: Place<'a>,
}

/// Takes a unit at every level.
pub(super) async fn throttle(exchange: &mut Exchange) -> Result<(), Fault> {
    deny(exchange)?;
    let matched = exchange.matched()?;
    let (route, operation) = (Arc::clone(&matched.route), matched.operation);
    let caller = exchange.caller.clone();
    let granted = granted(caller.as_ref(), exchange.at_ms)?;
    let [subscription, application] = match granted {
        Some(granted) => levels_of(&route.api, granted),
        None => [Some(anonymous(&route.api, exchange.address)), None],
    };
    let levels = [api_level(&route.api, operation), subscription, application];
    let ingress = Arc::clone(&exchange.ingress);
    let mut hold = Hold {
        ingress: &ingress,
        place: ingress.held.place(),
    };
    loop {
        for level in &levels {
            if let Some(level) = level
                && level.policy != UNLIMITED
            {
                let taken = take(exchange, level, &mut hold).await;
                if taken.as_ref().is_err_and(Fault::is_throttling) {
                    exchange.decision.refused_by = Some(level.policy.into());
                }
                taken?;
            }
        }
        // While it was held at one level, the window of what it took at another may have ended.
        if !hold.place.is_taken() || exchange.basket.is_current(|| ingress.gateway.steady_ms()) {
            return Ok(());
        }
        exchange.give_back();
        hold.left(exchange)?;
    }
}

/// Refuses whom a deny policy is about.
pub(super) fn deny(exchange: &Exchange) -> Result<(), Fault> {
    let artifact = &exchange.matched()?.route.api.artifact;
    if !exchange.rules.denies_any(&artifact.tenant) {
        return Ok(());
    }
    let grant = exchange.grant()?;
    let application = grant.and_then(|grant| grant.application.as_ref());
    let facts = Facts {
        api: &artifact.context,
        application,
        user: grant.map(|grant| grant.user.as_str()),
        address: exchange.address,
    };
    if exchange.rules.denies(&artifact.tenant, &facts) {
        return Err(Fault::client(
            900_805,
            StatusCode::FORBIDDEN,
            "Message blocked",
            "You have been blocked from accessing the resource",
        ));
    }
    Ok(())
}

/// The API's own policy, else that of the operation.
fn api_level(api: &ApiRoute, operation: usize) -> Option<Level<'_>> {
    let artifact = &api.artifact;
    let own = artifact.operations.get(operation);
    let (policy, subject, code) = match &artifact.api_policy {
        Some(policy) => (policy, &artifact.context, 900_800),
        None => {
            let policy = own.and_then(|operation| operation.policy.as_ref())?;
            (policy, api.subjects.get(operation)?, 900_802)
        }
    };
    Some(Level {
        tenant: &artifact.tenant,
        level: PolicyLevel::Api,
        policy,
        subject: Cow::Borrowed(subject),
        codes: (code, code),
    })
}

/// Anonymous calls are counted per address.
fn anonymous(api: &ApiRoute, address: IpAddr) -> Level<'_> {
    Level {
        tenant: &api.artifact.tenant,
        level: PolicyLevel::Subscription,
        policy: UNAUTHENTICATED,
        subject: Cow::Owned(network_of(address)),
        codes: (900_804, 900_807),
    }
}

/// The subscription's level, then the application's.
fn levels_of<'a>(api: &'a ApiRoute, granted: &'a Granted) -> [Option<Level<'a>>; 2] {
    let artifact = &api.artifact;
    let (policy, subject) = match granted.subscription(&artifact.api_id) {
        Some((plan, subject)) => (plan.policy.as_str(), Cow::Borrowed(subject)),
        None => (
            SUBSCRIPTIONLESS,
            granted.without_subscription(&artifact.api_id),
        ),
    };
    let subscription = Level {
        tenant: &artifact.tenant,
        level: PolicyLevel::Subscription,
        policy,
        subject,
        codes: (900_804, 900_807),
    };
    let application = granted.grant.application.as_ref();
    let application = application.zip(granted.application_subject.as_deref());
    let application = application.map(|(application, subject)| Level {
        tenant: &artifact.tenant,
        level: PolicyLevel::Application,
        policy: &application.policy,
        subject: Cow::Borrowed(subject),
        codes: (900_803, 900_809),
    });
    [Some(subscription), application]
}

async fn take(
    exchange: &mut Exchange,
    level: &Level<'_>,
    hold: &mut Hold<'_>,
) -> Result<(), Fault> {
    let rules = Arc::clone(&exchange.rules);
    let Some(rule) = rules.policy(level.tenant, level.level, level.policy) else {
        // Its change is under way, or it was deleted with things still resting on it.
        return Err(Fault::platform(
            "A throttling policy of this call is not known here yet",
        ));
    };
    let limits = [
        (rule.limit(exchange.address), level.codes.0, true),
        (rule.burst(), level.codes.1, false),
    ];
    for (limit, code, noted) in limits {
        let Some(limit) = limit else {
            continue;
        };
        let parts = KeyParts {
            tenant: level.tenant,
            level: level.level,
            policy: level.policy,
            limit: limit.number,
            subject: &level.subject,
        };
        let wanted = Wanted {
            parts,
            limit,
            code,
            noted,
            mode: rule.policy.options.mode,
            // Only a plan may let calls go on beyond its quota; a burst limit always stops.
            stops: rule.policy.stop_on_quota_reach
                || level.level != PolicyLevel::Subscription
                || !noted,
        };
        let mut taking = Taking {
            exchange,
            wanted: &wanted,
            hold,
        };
        actors::gateway::take(&mut taking).await?;
    }
    Ok(())
}

/// What a call has to have of one limit.
struct Wanted<'a> {
    parts: KeyParts<'a>,
    limit: &'a Arc<CountedLimit>,
    code: u32,
    /// Whether the `RateLimit` fields may be about it while it lets calls through.
    noted: bool,
    /// Whether calls beyond the quota are refused; when not, they are let through.
    stops: bool,
    /// What becomes of the call while nobody grants units (L8).
    mode: Mode,
}

/// A call as it takes its units of one limit.
struct Taking<'a, 'h> {
    exchange: &'a mut Exchange,
    wanted: &'a Wanted<'a>,
    hold: &'a mut Hold<'h>,
}

/// The limit of a lease is used up until then.
fn used_up(exchange: &mut Exchange, wanted: &Wanted<'_>, (slot, until_ms): (&Slot, i64)) -> Fault {
    // What refuses is what the fields are about, however tight another limit is.
    let hint = QuotaHint {
        left: 0,
        end_ms: until_ms,
        ..slot.lease.quota()
    };
    exchange.decision.quota = Some((Arc::clone(wanted.limit), hint));
    let gateway = &exchange.ingress.gateway;
    let wait_ms = until_ms.saturating_sub(gateway.steady_ms());
    // It may have been held: from now on, not from when it came.
    let now_ms = gateway.clock().now_ms();
    exhausted(wanted.code, now_ms, wait_ms)
}

/// Takes a unit of requests, or reserves bytes to begin with; what bodies cost is counted as they pass (L11).
fn reserve(exchange: &mut Exchange, wanted: &Wanted<'_>, slot: &Arc<Slot>) -> Result<(), Refused> {
    if wanted.limit.quota == QuotaUnit::Bytes {
        reserve_bytes(exchange, wanted, slot)?;
    } else {
        let gateway = &exchange.ingress.gateway;
        let lease = Arc::clone(&slot.lease);
        if exchange.basket.take(lease, 1, || gateway.steady_ms())? {
            gateway.refill(slot, 0);
        }
    }
    if wanted.noted {
        note(exchange, wanted.limit, slot);
    }
    Ok(())
}

fn reserve_bytes(
    exchange: &mut Exchange,
    wanted: &Wanted<'_>,
    slot: &Arc<Slot>,
) -> Result<(), Refused> {
    let announced = exchange.header(header::CONTENT_LENGTH.as_str());
    let announced = announced.and_then(|length| length.parse().ok());
    let ingress = &exchange.ingress;
    let meters = exchange
        .meters
        .get_or_insert_with(|| Arc::new(Meters::new(Arc::clone(ingress))));
    meters.reserve(slot, wanted.limit, announced.unwrap_or(0), wanted.stops)
}

/// Remembers the tightest quota for the `RateLimit` fields.
fn note(exchange: &mut Exchange, limit: &Arc<CountedLimit>, slot: &Slot) {
    let quota = slot.lease.quota();
    let tighter = match &exchange.decision.quota {
        None => true,
        Some((known, hint)) if known.quota == limit.quota => quota.left < hint.left,
        // Requests and bytes compare by how much of each is left.
        Some((_, hint)) => {
            let share = |left: u64, of: u64| u128::from(left) * u128::from(of);
            share(quota.left, hint.limit) < share(hint.left, quota.limit)
        }
    };
    if tighter {
        exchange.decision.quota = Some((Arc::clone(limit), quota));
    }
}

// === impl Hold ===

impl Hold<'_> {
    /// How much longer the request may wait.
    ///
    /// # Errors
    /// 503 when that is over, or when too many wait already.
    fn left(&mut self, exchange: &mut Exchange) -> Result<Duration, Fault> {
        let now_ms = self.ingress.gateway.steady_ms();
        self.place.left(&mut exchange.held_until_ms, now_ms)
    }
}

// === impl Wanted ===

impl Wanted<'_> {
    /// Whether the call goes on without units, as its policy's mode says (L8).
    fn goes_on(&self, gateway: &GatewayHandle) -> bool {
        gateway.lets_through(self.parts, self.limit, self.mode, self.units())
    }

    /// Units that a call waits for when there are none.
    fn units(&self) -> u32 {
        match self.limit.quota {
            QuotaUnit::Bytes => Meters::chunk(self.limit),
            QuotaUnit::Requests | QuotaUnit::Events => 1,
        }
    }
}

// === impl Taking ===

impl Taking<'_, '_> {
    fn gateway(&self) -> &GatewayHandle {
        &self.hold.ingress.gateway
    }
}

impl Wants for Taking<'_, '_> {
    type Refusal = Fault;

    fn units(&self) -> u32 {
        self.wanted.units()
    }

    fn at_hand(&self) -> Option<Arc<Slot>> {
        let Wanted { parts, limit, .. } = self.wanted;
        self.gateway().lease_at_hand(parts, limit.window)
    }

    async fn open(&mut self, patience: Duration) -> Result<Arc<Slot>, AskError> {
        let Wanted { parts, limit, .. } = self.wanted;
        let gateway = &self.hold.ingress.gateway;
        gateway.lease(*parts, limit.window, patience).await
    }

    fn take(&mut self, slot: &Arc<Slot>) -> Result<(), Refused> {
        reserve(self.exchange, self.wanted, slot)
    }

    fn refill(&self, slot: &Arc<Slot>, waited_for: u32) {
        self.gateway().refill(slot, waited_for);
    }

    fn is_unowned(&self, slot: &Slot) -> bool {
        self.gateway().is_unowned(slot)
    }

    fn goes_on(&self) -> bool {
        self.wanted.goes_on(self.gateway())
    }

    fn left(&mut self) -> Result<Duration, Fault> {
        self.hold.left(self.exchange)
    }

    fn used_up(&mut self, slot: &Slot, until_ms: i64) -> Result<(), Fault> {
        if self.wanted.stops {
            return Err(used_up(self.exchange, self.wanted, (slot, until_ms)));
        }
        Ok(())
    }

    fn overloaded(&self) -> Fault {
        held_too_long()
    }
}

fn exhausted(code: u32, now_ms: i64, wait_ms: i64) -> Fault {
    let next = stamp::next_access(now_ms.saturating_add(wait_ms));
    let mut fault = Fault::client(
        code,
        StatusCode::TOO_MANY_REQUESTS,
        "Message throttled out",
        "",
    );
    fault.description =
        format!("You have exceeded your quota .You can access API after {next}").into();
    let seconds = wait_ms.max(0).saturating_add(999) / 1_000;
    fault.retry_after = Some(u64::try_from(seconds).unwrap_or(1).max(1));
    fault.with(Extra::NextAccess(next))
}

/// An address as it is counted: an IPv6 network of 64 bits is one caller.
fn network_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    }
}
