//! `/admin/reload`: has the node read its configuration once more.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::{Reloaded, Services, Setting};

pub(super) static RELOAD: Operation = Operation::new(
    "POST",
    "/admin/reload",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
);

/// Says what is in force from now on, and what waits for the next start.
pub(super) async fn reload(
    State(services): State<Services>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    tracing::info!(target: "audit", user = %caller.user, tenant = %caller.tenant, "the configuration is read anew on request");
    // It reads files.
    let reloaded = tokio::task::spawn_blocking(move || (services.reload)()).await;
    let reloaded = reloaded.map_err(|error| ApiError::internal(&error))?;
    let Reloaded {
        applied,
        at_restart,
    } = reloaded.map_err(|why| ApiError::conflict("configuration", why))?;
    Ok(Json(json!({
        "applied": rows(&applied),
        "atRestart": rows(&at_restart),
    })))
}

fn rows(settings: &[Setting]) -> Vec<Value> {
    let row = |one: &Setting| json!({"key": one.key, "value": one.value, "origin": one.origin});
    settings.iter().map(row).collect()
}
