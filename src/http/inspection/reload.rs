//! `/admin/reload`: has the node read its configuration once more.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::orderer::Orderer;
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
    by: Orderer,
) -> Result<Json<Value>, ApiError> {
    let Orderer {
        user,
        tenant,
        address,
    } = by;
    let audit = |outcome: &str| {
        tracing::info!(target: "audit", %user, %tenant, %address, outcome, "the configuration is read anew on request");
    };
    audit("ordered");
    // It reads files.
    let reloaded = tokio::task::spawn_blocking(move || (services.reload)()).await;
    let reloaded = reloaded.map_err(|error| {
        audit(&format!("unknown: {error}"));
        ApiError::internal(&error)
    })?;
    audit(&outcome(&reloaded));
    let Reloaded {
        applied,
        at_restart,
    } = reloaded.map_err(|why| ApiError::conflict("configuration", why))?;
    Ok(Json(json!({
        "applied": rows(&applied),
        "atRestart": rows(&at_restart),
    })))
}

/// What came of it, by the names of settings: values may be anybody's business.
fn outcome(reloaded: &Result<Reloaded, String>) -> String {
    let keys = |settings: &[Setting]| {
        let keys: Vec<&str> = settings.iter().map(|one| one.key.as_str()).collect();
        keys.join(",")
    };
    match reloaded {
        Err(why) => format!("refused: {why}"),
        Ok(Reloaded {
            applied,
            at_restart,
        }) => format!(
            "done; applied={}; at restart={}",
            keys(applied),
            keys(at_restart)
        ),
    }
}

fn rows(settings: &[Setting]) -> Vec<Value> {
    let row = |one: &Setting| json!({"key": one.key, "value": one.value, "origin": one.origin});
    settings.iter().map(row).collect()
}
