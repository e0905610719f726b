//! `/search`: APIs and their documents by content. There are no documents beside APIs yet.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use actors::devportal::ApiRow;

use super::apis::tenant;
use super::portal;
use crate::auth::MaybeCaller;
use crate::document::seen;
use crate::error::ApiError;
use crate::failure::answer;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::Page;
use crate::query::Query;
use crate::search;
use crate::services::Services;

const ALL: &str = "/api/am/devportal/v3/search";

pub(super) static SEARCH: Operation = Operation::new("GET", ALL, Access::Anybody, BodyKind::Empty);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    SEARCH.mount(router, find)
}

#[derive(Deserialize)]
struct Searched {
    query: Option<String>,
}

async fn find(
    State(services): State<Services>,
    caller: MaybeCaller,
    page: Page,
    Query(Searched { query }): Query<Searched>,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let wanted = search::read(&query)?;
    let span = (page.limit, page.offset);
    let found = portal(&services)?.apis(&tenant(caller), wanted, span).await;
    let (rows, total) = found.map_err(answer)?;
    let list: Vec<_> = rows.iter().map(write).collect();
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    Ok(seen(page.answer(
        &list,
        total,
        &format!("{ALL}?query={query}&"),
    )))
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
