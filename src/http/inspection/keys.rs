//! `/admin/keys/{key}`: how one key is counted, by whom, and which gateways hold units of it.

use actors::traffic_manager::{CountSeen, KeySeen, LeaseSeen, SeenKey};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{key_name, members};
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

/// The key is all that is left of the path, so that its slashes may be typed as they are.
pub(super) static KEY: Operation = Operation::new(
    "GET",
    "/admin/keys/{*key}",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at();

pub(super) async fn key(
    State(services): State<Services>,
    Path(text): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let key = key_name::read(&text)?;
    let seen = services.overview.key(&key).await;
    let name = |id: &String| services.orders.name(id);
    let (from, told, count) = match best(&seen) {
        Found::Counted(from, told, count) => (from, told, count),
        Found::Nowhere => return Err(ApiError::not_found("a count of", &text)),
        Found::Silent => {
            let silent = members::names(&services.orders, &seen.unanswered);
            return Err(silence(&silent));
        }
    };
    Ok(Json(json!({
        "key": key_name::write(&key), "tenant": key.tenant, "level": key.level.as_str(),
        "policy": key.policy, "limitNumber": key.limit, "subject": key.subject,
        "shard": seen.shard, "owner": seen.owner.as_ref().map(name),
        "standby": seen.standby.as_ref().map(name), "toldBy": from,
        "epoch": told.seat.epoch.number(), "phase": if told.seat.active { "active" } else { "sync" },
        "grants": told.seat.grants,
        "window": {
            "timeUnit": count.unit, "unitTime": count.unit_time, "start": count.start_ms,
            "end": count.end_ms,
        },
        "limit": count.limit, "granted": count.granted, "left": count.left, "lost": count.lost,
        "spent": count.spent,
        "leases": count.leases.iter().map(|lease| show(lease, &name(&lease.gateway))).collect::<Vec<_>>(),
        "unanswered": members::names(&services.orders, &seen.unanswered),
    })))
}

fn show(lease: &LeaseSeen, gateway: &str) -> Value {
    json!({
        "gateway": gateway, "incarnation": lease.incarnation, "lease": lease.lease,
        "granted": lease.granted, "returned": lease.returned,
    })
}

/// What the members' words come to.
#[derive(Debug, PartialEq, Eq)]
enum Found<'a> {
    /// One of them counts it.
    Counted(&'static str, &'a KeySeen, &'a CountSeen),
    /// Whoever owns its shard does not.
    Nowhere,
    /// Nobody answers who would know.
    Silent,
}

/// The owner's word, or where it says nothing its standby's.
fn best(seen: &SeenKey) -> Found<'_> {
    let by = |node: &Option<String>| seen.told.get(node.as_ref()?);
    match (by(&seen.owner), by(&seen.standby)) {
        (Some(owner), _) => match &owner.count {
            Some(count) => Found::Counted("owner", owner, count),
            None => Found::Nowhere,
        },
        (None, Some(standby)) => match &standby.count {
            Some(count) => Found::Counted("standby", standby, count),
            // The owner may know it, which does not answer.
            None => Found::Silent,
        },
        (None, None) if seen.owner.is_none() && seen.unanswered.is_empty() => Found::Nowhere,
        (None, None) => Found::Silent,
    }
}

fn silence(silent: &[String]) -> ApiError {
    let silent = silent.join(", ");
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        503,
        "Service Unavailable",
        format!("no traffic manager that would know answers ({silent}): try again"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use actors::traffic_manager::SeatSeen;
    use domain::policy::TimeUnit;
    use domain::view::Life;

    use super::*;

    fn told(units: Option<u64>) -> KeySeen {
        let count = |granted| CountSeen {
            unit: TimeUnit::Min,
            unit_time: 1,
            start_ms: 0,
            end_ms: 60_000,
            limit: 9,
            granted,
            left: 9 - granted,
            lost: false,
            spent: 0,
            leases: Vec::new(),
        };
        KeySeen {
            life: Life::new("n", 1),
            seat: SeatSeen::default(),
            count: units.map(count),
        }
    }

    fn seen(owner: Option<KeySeen>, standby: Option<KeySeen>) -> SeenKey {
        let said = [("o", owner), ("s", standby)];
        let (told, unanswered): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|(_, said)| said.is_some());
        let told = told
            .into_iter()
            .filter_map(|(node, said)| Some((node.to_owned(), said?)));
        SeenKey {
            shard: 3,
            owner: Some("o".to_owned()),
            standby: Some("s".to_owned()),
            told: told.collect(),
            unanswered: unanswered
                .into_iter()
                .map(|(node, _)| node.to_owned())
                .collect(),
        }
    }

    #[test]
    fn the_owner_says_how_a_key_is_counted_and_its_standby_where_it_is_silent() {
        let from = |owner, standby| match best(&seen(owner, standby)) {
            Found::Counted(from, _, count) => format!("{from} {}", count.granted),
            Found::Nowhere => "nowhere".to_owned(),
            Found::Silent => "silent".to_owned(),
        };
        assert_eq!(from(Some(told(Some(5))), Some(told(Some(4)))), "owner 5");
        assert_eq!(from(Some(told(None)), Some(told(Some(4)))), "nowhere");
        assert_eq!(from(None, Some(told(Some(4)))), "standby 4");
        assert_eq!(from(None, Some(told(None))), "silent");
        assert_eq!(from(None, None), "silent");
        let nobody = SeenKey {
            shard: 3,
            owner: None,
            standby: None,
            told: BTreeMap::new(),
            unanswered: Vec::new(),
        };
        assert_eq!(best(&nobody), Found::Nowhere, "nothing was ever counted");
    }
}
