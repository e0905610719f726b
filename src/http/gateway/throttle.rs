//! How often: deny policies first, then a unit at the API or resource, the subscription with its
//! burst, the application with its burst. What was taken goes back when a later level refuses.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::{Caller, Facts, KeyParts, PolicyRule, Slot, window_of};
use domain::lease::Refused;
use domain::policy::{Limit, PolicyLevel, QuotaUnit, SUBSCRIPTIONLESS, UNAUTHENTICATED, UNLIMITED};
use http::StatusCode;

use super::exchange::Exchange;
use super::fault::{Extra, Fault, Source};
use super::stamp;

/// How long a request is held for units before it is refused with 503 (L8).
const HELD_MS: i64 = 3_000;

/// A level at which a unit is taken.
struct Level {
    level: PolicyLevel,
    policy: String,
    subject: String,
    /// Codes of its limit and of its burst.
    codes: (u32, u32),
}

/// Takes a unit at every level.
pub(super) async fn throttle(exchange: &mut Exchange) -> Result<(), Fault> {
    deny(exchange)?;
    for level in levels(exchange)?.into_iter().flatten() {
        if level.policy != UNLIMITED {
            take(exchange, &level).await?;
        }
    }
    Ok(())
}

fn deny(exchange: &Exchange) -> Result<(), Fault> {
    let artifact = &exchange.matched()?.route.api.artifact;
    let grant = exchange.grant()?;
    let application = grant.and_then(|grant| grant.application.as_ref());
    let facts = Facts {
        api: &artifact.context,
        application: application.map(|known| (known.owner.as_str(), known.name.as_str())),
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

/// The levels of a call, in WSO2's order.
fn levels(exchange: &Exchange) -> Result<[Option<Level>; 3], Fault> {
    let matched = exchange.matched()?;
    let artifact = &matched.route.api.artifact;
    let operation = matched.operation();
    let api = match (&artifact.api_policy, operation) {
        (Some(policy), _) => Some(Level {
            level: PolicyLevel::Api,
            policy: policy.clone(),
            subject: artifact.context.clone(),
            codes: (900_800, 900_800),
        }),
        (None, Some(operation)) => operation.policy.as_ref().map(|policy| Level {
            level: PolicyLevel::Api,
            policy: policy.clone(),
            subject: format!(
                "{}:{}:{}",
                artifact.context, operation.target, operation.verb
            ),
            codes: (900_802, 900_802),
        }),
        (None, None) => None,
    };
    let Some(grant) = exchange.grant()? else {
        let anonymous = Level {
            level: PolicyLevel::Subscription,
            policy: UNAUTHENTICATED.to_owned(),
            subject: network_of(exchange.address),
            codes: (900_804, 900_807),
        };
        return Ok([api, Some(anonymous), None]);
    };
    let application = grant.application.as_ref();
    let who = application.map_or(grant.consumer_key.as_str(), |known| known.id.as_str());
    let who = if who.is_empty() {
        grant.token_id.as_str()
    } else {
        who
    };
    let plan = Caller::subscription(grant, &artifact.api_id);
    let subscription = Level {
        level: PolicyLevel::Subscription,
        policy: plan
            .map_or(SUBSCRIPTIONLESS, |plan| plan.policy.as_str())
            .to_owned(),
        subject: format!("{who}:{}", artifact.api_id),
        codes: (900_804, 900_807),
    };
    let application = application.map(|known| Level {
        level: PolicyLevel::Application,
        policy: known.policy.clone(),
        subject: format!("{}:{}", known.id, grant.user),
        codes: (900_803, 900_809),
    });
    Ok([api, Some(subscription), application])
}

async fn take(exchange: &mut Exchange, level: &Level) -> Result<(), Fault> {
    let tenant = exchange.matched()?.route.api.artifact.tenant.clone();
    let Some(rule) = exchange.rules.policy(&tenant, level.level, &level.policy) else {
        // Its change is under way, or it was deleted with things still resting on it.
        return Err(Fault::platform(
            "A throttling policy of this call is not known here yet",
        ));
    };
    let rule = Arc::clone(rule);
    let limits = [
        (0, rule.policy.limit, level.codes.0),
        (1, rule.policy.burst, level.codes.1),
    ];
    for (index, limit, code) in limits {
        // Bytes and events are counted at their end, by a later issue.
        let Some(limit) = limit.filter(|limit| limit.quota == QuotaUnit::Requests) else {
            continue;
        };
        let parts = KeyParts {
            tenant: &tenant,
            level: level.level,
            policy: &level.policy,
            limit: index,
            subject: &level.subject,
        };
        take_one(exchange, &rule, parts, &limit, code).await?;
    }
    Ok(())
}

async fn take_one(
    exchange: &mut Exchange,
    rule: &Arc<PolicyRule>,
    parts: KeyParts<'_>,
    limit: &Limit,
    code: u32,
) -> Result<(), Fault> {
    let gateway = exchange.ingress.gateway.clone();
    let give_up_ms = gateway.boot_ms() + HELD_MS;
    loop {
        let slot = gateway.lease(parts, window_of(limit)).await;
        let slot = slot.map_err(|_| held_too_long())?;
        // Made before the take, so that an answer in between is not missed.
        let changed = slot.changed.notified();
        let taken = exchange
            .basket
            .take(Arc::clone(&slot.lease), 1, || gateway.boot_ms());
        match taken {
            Ok(low) => {
                if low {
                    gateway.refill(&slot, false);
                }
                if parts.limit == 0 {
                    note(exchange, rule, &slot);
                }
                return Ok(());
            }
            Err(Refused::Closed { .. }) if !rule.policy.stop_on_quota_reach => return Ok(()),
            Err(Refused::Closed { until_ms }) => {
                if parts.limit == 0 {
                    note(exchange, rule, &slot);
                }
                let wait_ms = until_ms.saturating_sub(gateway.boot_ms());
                return Err(exhausted(code, exchange.at_ms, wait_ms));
            }
            Err(Refused::Empty { ask }) => {
                let left_ms = give_up_ms.saturating_sub(gateway.boot_ms());
                if left_ms <= 0 {
                    return Err(held_too_long());
                }
                if ask {
                    gateway.refill(&slot, true);
                }
                let wait = Duration::from_millis(u64::try_from(left_ms.min(250)).unwrap_or(1));
                let _ = tokio::time::timeout(wait, changed).await;
            }
        }
    }
}

/// Remembers the tightest quota for the `RateLimit` fields.
fn note(exchange: &mut Exchange, rule: &Arc<PolicyRule>, slot: &Slot) {
    let quota = slot.lease.quota();
    let tighter = match &exchange.decision.quota {
        None => true,
        Some((_, known)) => quota.left < known.left,
    };
    if tighter {
        exchange.decision.quota = Some((Arc::clone(rule), quota));
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
