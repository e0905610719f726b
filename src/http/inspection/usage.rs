//! `/admin/usage`: calls by minute, API, application and status, and how many are unknown.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

pub(super) static USAGE: Operation = Operation::new(
    "GET",
    "/admin/usage",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
);

/// Milliseconds since the epoch; the last hour when absent.
#[derive(Deserialize)]
pub(super) struct Span {
    from: Option<String>,
    to: Option<String>,
}

pub(super) async fn usage(
    State(services): State<Services>,
    Query(span): Query<Span>,
) -> Result<Json<Value>, ApiError> {
    let Some(intake) = &services.usage else {
        return Err(ApiError::unavailable(&"this node takes no usage in"));
    };
    let moment = |name: &str, text: Option<&str>, otherwise: i64| match text {
        None => Ok(otherwise),
        Some(text) => text.parse::<i64>().map_err(|_| {
            ApiError::bad_field(name, "must be a number of milliseconds since the epoch")
        }),
    };
    let now = services.system.clock.now_ms();
    let from = moment("from", span.from.as_deref(), now - 3_600_000)?;
    let to = moment("to", span.to.as_deref(), now + 60_000)?;
    let counts = intake.counts(from, to).await;
    let counts = counts.map_err(|error| ApiError::unavailable(&error))?;
    let unknown = intake.unknown().await;
    let unknown = unknown.map_err(|error| ApiError::unavailable(&error))?;
    let list: Vec<Value> = counts
        .iter()
        .map(|count| {
            json!({
                "minute": count.minute_ms,
                "tenant": count.tenant,
                "apiId": count.api_id,
                "applicationId": count.application_id,
                "status": count.status,
                "calls": count.calls,
                "forwarded": count.forwarded,
                "bytesIn": count.bytes_in,
                "bytesOut": count.bytes_out,
                "latency": count.latency,
            })
        })
        .collect();
    Ok(Json(
        json!({ "count": list.len(), "list": list, "unknownCalls": unknown }),
    ))
}
