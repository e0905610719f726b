//! How often and how much: deny policies first, then a unit, or bytes to begin with, at the API or resource, the
//! subscription with its burst, the application with its burst. What was taken goes back when a later level refuses.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::{ApiRoute, CountedLimit, Facts, Granted, KeyParts, Slot};
use domain::lease::{QuotaHint, Refused};
use domain::policy::{PolicyLevel, QuotaUnit, SUBSCRIPTIONLESS, UNAUTHENTICATED, UNLIMITED};
use http::{StatusCode, header};

use super::exchange::{Exchange, granted};
use super::fault::{Extra, Fault, Source};
use super::meters::Meters;
use super::stamp;

/// How long a request is held for units before it is refused with 503 (L8).
const HELD_MS: i64 = 3_000;

/// A level at which a unit is taken.
struct Level<'a> {
    tenant: &'a str,
    level: PolicyLevel,
    policy: &'a str,
    subject: Cow<'a, str>,
    /// Codes of its limit and of its burst.
    codes: (u32, u32),
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
    for level in &levels {
        if let Some(level) = level
            && level.policy != UNLIMITED
        {
            let taken = take(exchange, level).await;
            if taken.as_ref().is_err_and(Fault::is_throttling) {
                exchange.decision.refused_by = Some(level.policy.into());
            }
            taken?;
        }
    }
    Ok(())
}

fn deny(exchange: &Exchange) -> Result<(), Fault> {
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

async fn take(exchange: &mut Exchange, level: &Level<'_>) -> Result<(), Fault> {
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
            stops: rule.policy.stop_on_quota_reach,
        };
        take_one(exchange, &wanted).await?;
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
}

async fn take_one(exchange: &mut Exchange, wanted: &Wanted<'_>) -> Result<(), Fault> {
    let ingress = Arc::clone(&exchange.ingress);
    let gateway = &ingress.gateway;
    let window = wanted.limit.window;
    // The usual case: the lease is at hand and has a unit.
    if let Some(slot) = gateway.lease_at_hand(&wanted.parts, window) {
        match reserve(exchange, wanted, &slot) {
            Ok(()) => return Ok(()),
            // Who is told to ask is told once.
            Err(Refused::Empty { ask: true }) => gateway.refill(&slot, wanted.units()),
            Err(_) => {}
        }
    }
    let give_up_ms = gateway.boot_ms() + HELD_MS;
    loop {
        let slot = gateway.lease(wanted.parts, window).await;
        let slot = slot.map_err(|_| held_too_long())?;
        // Made before the take, so that an answer in between is not missed.
        let changed = slot.changed.notified();
        match reserve(exchange, wanted, &slot) {
            Ok(()) => return Ok(()),
            Err(Refused::Closed { .. }) if !wanted.stops => return Ok(()),
            Err(Refused::Closed { until_ms }) => {
                // What refuses is what the fields are about, however tight another limit is.
                let hint = QuotaHint {
                    left: 0,
                    end_ms: until_ms,
                    ..slot.lease.quota()
                };
                exchange.decision.quota = Some((Arc::clone(wanted.limit), hint));
                let wait_ms = until_ms.saturating_sub(gateway.boot_ms());
                return Err(exhausted(wanted.code, exchange.at_ms, wait_ms));
            }
            Err(Refused::Empty { ask }) => {
                let left_ms = give_up_ms.saturating_sub(gateway.boot_ms());
                if left_ms <= 0 {
                    return Err(held_too_long());
                }
                if ask {
                    gateway.refill(&slot, wanted.units());
                }
                let wait = Duration::from_millis(u64::try_from(left_ms.min(250)).unwrap_or(1));
                let _ = tokio::time::timeout(wait, changed).await;
            }
        }
    }
}

/// Takes a unit of requests, or reserves bytes to begin with; what bodies cost is counted as they pass (L11).
fn reserve(exchange: &mut Exchange, wanted: &Wanted<'_>, slot: &Arc<Slot>) -> Result<(), Refused> {
    if wanted.limit.quota == QuotaUnit::Bytes {
        reserve_bytes(exchange, wanted, slot)?;
    } else {
        let gateway = &exchange.ingress.gateway;
        let lease = Arc::clone(&slot.lease);
        if exchange.basket.take(lease, 1, || gateway.boot_ms())? {
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

// === impl Wanted ===

impl Wanted<'_> {
    /// Units that a call waits for when there are none.
    fn units(&self) -> u32 {
        match self.limit.quota {
            QuotaUnit::Bytes => Meters::chunk(self.limit),
            QuotaUnit::Requests | QuotaUnit::Events => 1,
        }
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

fn held_too_long() -> Fault {
    let mut fault = Fault::platform("Nobody could grant this call in time. Try again");
    fault.source = Source::Platform;
    fault
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
