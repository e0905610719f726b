//! The operations of the weather service.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use cluster::Clock;

use super::DESCRIPTION;
use super::stations::{Measured, Reading, Refusal, Station, StationFacts, Stations};
use super::ticker::Ticker;

/// The most rows or lines of one answer.
const MOST: u32 = 1_000;

#[derive(Clone)]
struct Service {
    stations: Arc<Mutex<Stations>>,
    clock: Clock,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    region: Option<String>,
    limit: Option<u32>,
    count: Option<u32>,
    interval_ms: Option<u64>,
}

/// An answer that is no success.
struct Problem(StatusCode, String);

type Id = Result<Path<u64>, PathRejection>;
type Given = Result<Query<Asked>, QueryRejection>;
type Sent<T> = Result<Json<T>, JsonRejection>;

/// The routes, over stations of their own.
pub(super) fn router(clock: Clock) -> Router {
    let stations = Arc::new(Mutex::new(Stations::seeded(clock.now_ms())));
    let description = || async { ([(CONTENT_TYPE, "application/yaml")], DESCRIPTION) };
    Router::new()
        .route("/stations", get(list).post(add))
        .route("/stations/{id}", get(find).put(change).delete(remove))
        .route("/stations/{id}/readings", get(readings).post(measure))
        .route("/stations/{id}/readings/latest", get(latest))
        .route("/ticker", get(ticker))
        .route("/echo", get(echo).post(echo_body))
        .route("/openapi.yaml", get(description))
        .with_state(Service { stations, clock })
}

// === impl Service ===

impl Service {
    fn stations(&self) -> MutexGuard<'_, Stations> {
        // The state is whole after every statement, so a panic elsewhere does not spoil it.
        self.stations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Problem ===

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "problem": self.1 }))).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoStation(_) | Refusal::NoReading(_) => StatusCode::NOT_FOUND,
            Refusal::Wrong(_) => StatusCode::BAD_REQUEST,
            Refusal::Taken(_) | Refusal::Full => StatusCode::CONFLICT,
        };
        Self(status, refusal.to_string())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self(status, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self(StatusCode::NOT_FOUND, "there is no such station".to_owned())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

fn rows(limit: Option<u32>) -> usize {
    let limit = limit.unwrap_or(100).clamp(1, MOST);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

async fn list(State(service): State<Service>, asked: Given) -> Result<Json<Vec<Station>>, Problem> {
    let Query(asked) = asked?;
    let list = service
        .stations()
        .list(asked.region.as_deref(), rows(asked.limit));
    Ok(Json(list))
}

async fn add(
    State(service): State<Service>,
    facts: Sent<StationFacts>,
) -> Result<(StatusCode, Json<Station>), Problem> {
    let Json(facts) = facts?;
    Ok((StatusCode::CREATED, Json(service.stations().add(facts)?)))
}

async fn find(State(service): State<Service>, id: Id) -> Result<Json<Station>, Problem> {
    let Path(id) = id?;
    Ok(Json(service.stations().find(id)?.clone()))
}

async fn change(
    State(service): State<Service>,
    id: Id,
    facts: Sent<StationFacts>,
) -> Result<Json<Station>, Problem> {
    let (Path(id), Json(facts)) = (id?, facts?);
    Ok(Json(service.stations().change(id, facts)?))
}

async fn remove(State(service): State<Service>, id: Id) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    service.stations().remove(id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn readings(
    State(service): State<Service>,
    id: Id,
    asked: Given,
) -> Result<Json<Vec<Reading>>, Problem> {
    let (Path(id), Query(asked)) = (id?, asked?);
    Ok(Json(service.stations().readings(id, rows(asked.limit))?))
}

async fn measure(
    State(service): State<Service>,
    id: Id,
    measured: Sent<Measured>,
) -> Result<(StatusCode, Json<Reading>), Problem> {
    let (Path(id), Json(measured)) = (id?, measured?);
    let now_ms = service.clock.now_ms();
    let reading = service.stations().measure(id, measured, now_ms)?;
    Ok((StatusCode::CREATED, Json(reading)))
}

async fn latest(State(service): State<Service>, id: Id) -> Result<Json<Reading>, Problem> {
    let Path(id) = id?;
    Ok(Json(service.stations().latest(id)?))
}

async fn ticker(State(service): State<Service>, asked: Given) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    let count = asked.count.unwrap_or(5).clamp(1, MOST);
    let every = Duration::from_millis(asked.interval_ms.unwrap_or(500).clamp(1, 60_000));
    let body = Body::new(Ticker::new(service.clock, count, every));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap) -> Json<Value> {
    let shown = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        json!({ "name": name.as_str(), "value": value })
    });
    Json(json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": shown.collect::<Vec<_>>(),
    }))
}

/// Sends the body back while it still arrives.
async fn echo_body(request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body());
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
