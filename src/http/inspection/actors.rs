//! `/admin/actors`: every actor of this node with its counters, and the way to start one anew.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
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

pub(super) static RESTART_ACTOR: Operation = Operation::new(
    "POST",
    "/admin/actors/restart",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.query(&["name"]);

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    name: String,
}

/// Ends an actor's present incarnation; its supervisor starts the next one from its arguments.
pub(super) async fn restart(
    State(services): State<Services>,
    caller: Caller,
    Query(Named { name }): Query<Named>,
) -> Result<Json<Value>, ApiError> {
    if name.is_empty() {
        return Err(ApiError::bad_field("name", "is required"));
    }
    tracing::warn!(actor = %name, by = %caller.user, "actor is started anew on request");
    if services.system.registry.restart(&name) {
        Ok(Json(json!({ "name": name, "restarting": true })))
    } else {
        Err(ApiError::not_found("actor", &name))
    }
}
