//! `/search`: APIs and their documents by content. There are no documents beside APIs yet.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use actors::devportal::ApiRow;

use super::apis::{Searched, find};
use crate::auth::MaybeCaller;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::Page;
use crate::query::Query;
use crate::services::Services;

const ALL: &str = "/api/am/devportal/v3/search";

pub(super) static SEARCH: Operation = Operation::new("GET", ALL, Access::Anybody, BodyKind::Empty)
    .query(&["query", "limit", "offset"]);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    SEARCH.mount(router, search)
}

async fn search(
    State(services): State<Services>,
    caller: MaybeCaller,
    page: Page,
    Query(searched): Query<Searched>,
) -> Result<Response, ApiError> {
    find(&services, caller, page, &searched, (ALL, write)).await
}

/// An API as a find (`APISearchResult`).
fn write(row: &ApiRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "type": "API",
        "transportType": row.kind,
        "description": row.description,
        "context": row.full_context,
        "version": row.version,
        "provider": row.provider,
        "status": row.state.as_str(),
        "avgRating": "0.0",
    })
}
