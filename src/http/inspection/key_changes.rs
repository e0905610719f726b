//! `/admin/keys/{key}/reset` and `/admin/keys/{key}/refund`: a key may use its limit once more in its window, or so many
//! units of it. Each is done once: an answer that does not say what came of it says so.

use actors::traffic_manager::{KeyChange, KeyChanged, Unchanged};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::key_name;
use crate::body::Fields;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::orderer::Orderer;
use crate::services::Services;

/// The most units of one refund: more than any window has.
const MOST_UNITS: u64 = 1_000_000_000_000_000;

/// What is done is the last part of the path: a subject may hold slashes. A refund must say how many units; a reset has none.
pub(super) static CHANGE_KEY: Operation = Operation::new(
    "POST",
    "/admin/keys/{*key}",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Json,
)
.required(&["units"]);

pub(super) async fn change(
    State(services): State<Services>,
    by: Orderer,
    Path(text): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let (name, change) = read(&text, fields)?;
    let key = key_name::read(name)?;
    let Orderer {
        user,
        tenant,
        address,
    } = by;
    let (what, units) = match change {
        KeyChange::Reset => ("a key is reset", 0),
        KeyChange::Refund { units } => ("units of a key are refunded", units),
    };
    // Whoever asked may be gone before it is known what comes of it.
    let written = key_name::write(&key);
    tracing::info!(target: "audit", %user, %tenant, %address, key = written, units, outcome = "ordered", "{what}");
    let changed = services.overview.change(&key, change).await;
    let outcome = match &changed {
        Ok(KeyChanged::Changed { unheard, .. }) => done(&names(unheard, &services)),
        Ok(KeyChanged::NotCounted) => "nothing is counted".to_owned(),
        Ok(KeyChanged::Lost) => "its window is lost".to_owned(),
        Ok(KeyChanged::NotOwner) => "nobody grants".to_owned(),
        Err(unchanged) => told(unchanged, &services),
    };
    let key = written;
    tracing::info!(target: "audit", %user, %tenant, %address, key, units, outcome, "{what}");
    let (count, unheard) = match changed {
        Ok(KeyChanged::Changed { count, unheard }) => (count, names(&unheard, &services)),
        Ok(KeyChanged::NotCounted) => return Err(ApiError::not_found("a count of", name)),
        Ok(KeyChanged::Lost) => {
            return Err(ApiError::conflict(
                "key",
                "what was granted of this window was lost, so it counts as full and nothing of it can be given back: \
                 reset the key",
            ));
        }
        Ok(KeyChanged::NotOwner) => {
            return Err(unavailable(
                "nobody grants units of this key at the moment, as while a view begins: nothing was done, try again",
            ));
        }
        Err(unchanged) => return Err(unavailable(&advice(&unchanged, outcome))),
    };
    Ok(Json(json!({
        "key": key, "limit": count.limit, "granted": count.granted, "left": count.left,
        "window": {
            "timeUnit": count.unit, "unitTime": count.unit_time, "start": count.start_ms,
            "end": count.end_ms,
        },
        "unheard": unheard,
    })))
}

/// Gateways as operators name them.
fn names(gateways: &[String], services: &Services) -> Vec<String> {
    let name = |id: &String| services.orders.name(id);
    gateways.iter().map(name).collect()
}

/// What of a reset that not all have answered is said in the log.
fn done(unheard: &[String]) -> String {
    match unheard {
        [] => "done".to_owned(),
        some => format!("done; unheard={}", some.join(",")),
    }
}

/// The key, and what is to be done to it.
fn read(text: &str, mut fields: Fields) -> Result<(&str, KeyChange), ApiError> {
    let (name, what) = text.rsplit_once('/').unwrap_or(("", text));
    let change = match what {
        "reset" => KeyChange::Reset,
        "refund" => KeyChange::Refund {
            units: units(fields.take("units"))?,
        },
        _ => {
            return Err(ApiError::bad_request(
                "the path must end in /reset or /refund, after the key",
            ));
        }
    };
    let rest = fields.rest();
    match rest.keys().next() {
        Some(unknown) => Err(ApiError::bad_field(unknown, "is not known here")),
        None => Ok((name, change)),
    }
}

fn units(given: Option<Value>) -> Result<u64, ApiError> {
    let given = given.ok_or_else(|| ApiError::bad_field("units", "is required"))?;
    let units = given.as_u64();
    let units = units.filter(|units| (1..=MOST_UNITS).contains(units));
    units.ok_or_else(|| {
        let problem = format!("must be a whole number from 1 to {MOST_UNITS}");
        ApiError::bad_field("units", problem)
    })
}

/// With the owner's name.
fn told(unchanged: &Unchanged, services: &Services) -> String {
    let named = match unchanged {
        Unchanged::NoOwner => Unchanged::NoOwner,
        Unchanged::Unsupported(id) => Unchanged::Unsupported(services.orders.name(id)),
        Unchanged::Unknown(id) => Unchanged::Unknown(services.orders.name(id)),
    };
    named.to_string()
}

fn advice(unchanged: &Unchanged, told: String) -> String {
    match unchanged {
        Unchanged::Unknown(_) => {
            format!("{told}; see how the key is counted before it is asked for again")
        }
        _ => told,
    }
}

fn unavailable(told: &str) -> ApiError {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    ApiError::new(status, 503, "Service Unavailable", told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, body: Value) -> Result<(String, KeyChange), String> {
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let read = read(text, fields);
        read.map(|(name, change)| (name.to_owned(), change))
            .map_err(|error| error.description().to_owned())
    }

    #[test]
    fn what_is_done_is_the_last_part_of_the_path_whatever_the_subject_holds() {
        let reset = of("t/api/P/0//pizza/reset/reset", json!({}));
        assert_eq!(
            reset,
            Ok(("t/api/P/0//pizza/reset".to_owned(), KeyChange::Reset))
        );
        let refund = of("t/api/P/0/a/refund", json!({"units": 7}));
        let units = KeyChange::Refund { units: 7 };
        assert_eq!(refund, Ok(("t/api/P/0/a".to_owned(), units)));
    }

    #[test]
    fn the_log_names_gateways_that_had_not_answered_a_reset() {
        assert_eq!(done(&[]), "done");
        let unheard = ["gw1", "gw2"].map(str::to_owned);
        assert_eq!(done(&unheard), "done; unheard=gw1,gw2");
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        for (text, body, wanted) in [
            ("k/refund", json!({}), "units: is required"),
            ("k/refund", json!({"units": 0}), "from 1 to"),
            ("k/refund", json!({"units": -1}), "from 1 to"),
            ("k/refund", json!({"units": 1.5}), "from 1 to"),
            ("k/refund", json!({"units": 1e30}), "from 1 to"),
            ("k/refund", json!({"units": "5"}), "from 1 to"),
            ("k/reset", json!({"units": 5}), "units: is not known here"),
            ("k/forget", json!({}), "/reset or /refund"),
            ("reset", json!({"more": 1}), "more: is not known here"),
        ] {
            let refused = of(text, body).unwrap_err();
            assert!(refused.contains(wanted), "{text}: {refused}");
        }
    }
}
