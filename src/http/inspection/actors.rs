//! `/admin/actors`: every actor of this node with its counters.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static LIST_ACTORS: Operation = Operation::new(
    "GET",
    "/admin/actors",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
);

pub(super) async fn list(State(services): State<Services>) -> Json<Value> {
    let actors = services.system.registry.report();
    Json(json!({ "count": actors.len(), "list": actors }))
}
