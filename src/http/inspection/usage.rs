//! `/admin/usage`: calls by minute, API, application and status, and how many are unknown.

use std::ops::RangeInclusive;

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
)
.looked_at()
.query(&["from", "to", "limit", "offset"]);

/// The longest span of one question: more is asked day by day.
const DAY_MS: i64 = 86_400_000;
/// The most rows of one answer.
const MOST: u32 = 10_000;

/// Milliseconds since the epoch, the last hour when absent; and which of its rows.
#[derive(Deserialize)]
pub(super) struct Asked {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
}

/// What is asked for, within its bounds.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    from_ms: i64,
    to_ms: i64,
    limit: u32,
    offset: u32,
}

// === impl Asked ===

impl Asked {
    fn part(&self, now_ms: i64) -> Result<Part, ApiError> {
        let from_ms = moment("from", self.from.as_deref())?.unwrap_or(now_ms - 3_600_000);
        let latest = from_ms.saturating_add(DAY_MS);
        let to_ms = moment("to", self.to.as_deref())?;
        let to_ms = to_ms.unwrap_or_else(|| latest.min(now_ms + 60_000));
        if to_ms > latest {
            return Err(ApiError::bad_field(
                "to",
                "must be at most a day (86400000) after from: ask day by day",
            ));
        }
        let limit = number("limit", self.limit.as_deref(), 1..=MOST)?.unwrap_or(MOST);
        let offset = number("offset", self.offset.as_deref(), 0..=u32::MAX)?.unwrap_or(0);
        Ok(Part {
            from_ms,
            to_ms,
            limit,
            offset,
        })
    }
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let problem = "must be a number of milliseconds since the epoch";
    let read = text.map(|text| text.parse().map_err(|_| ApiError::bad_field(name, problem)));
    read.transpose()
}

fn number(
    name: &str,
    text: Option<&str>,
    bounds: RangeInclusive<u32>,
) -> Result<Option<u32>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(Some(number)),
        _ => Err(ApiError::bad_field(
            name,
            format!(
                "must be a whole number from {} to {}",
                bounds.start(),
                bounds.end()
            ),
        )),
    }
}

pub(super) async fn usage(
    State(services): State<Services>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    let Some(intake) = &services.usage else {
        return Err(ApiError::unavailable(&"this node takes no usage in"));
    };
    let Part {
        from_ms,
        to_ms,
        limit,
        offset,
    } = asked.part(services.system.clock.now_ms())?;
    // One more than asked for tells whether there is more.
    let counts = intake.counts(from_ms, to_ms, (offset, limit + 1)).await;
    let mut counts = counts.map_err(|error| ApiError::unavailable(&error))?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (counts.len() > most).then(|| offset.saturating_add(limit));
    counts.truncate(most);
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
        json!({ "count": list.len(), "list": list, "next": next, "unknownCalls": unknown }),
    ))
}
