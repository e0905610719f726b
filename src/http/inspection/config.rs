//! `/admin/config`: what every node is configured with and where that was read; secrets are masked.

use axum::Json;
use axum::extract::State;
use cluster::{AskError, AskSettings, SettingsSeen};
use serde::Deserialize;
use serde_json::{Value, json};

use super::members;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::seen::{PATIENCE, actors};
use crate::services::Services;

pub(super) static CONFIG: Operation = Operation::new(
    "GET",
    "/admin/config",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at()
.query(&["node"]);

#[derive(Deserialize)]
pub(super) struct Asked {
    /// This node alone, by name or id.
    node: Option<String>,
}

pub(super) async fn config(
    State(services): State<Services>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    let nodes = members::nodes(&services.cluster);
    let only = match asked.node.as_deref().filter(|node| !node.is_empty()) {
        None => None,
        Some(node) => {
            let known = members::find(&nodes, node);
            Some(known.ok_or_else(|| ApiError::not_found("node", node))?)
        }
    };
    let me = services.cluster.me();
    let mut told = vec![(me.id.clone(), me.name.clone(), Ok((services.settings)()))];
    if only.is_none_or(|known| !known.is_me) {
        let others = services.cluster.ask_members(&AskSettings, PATIENCE).await;
        let others = others.into_iter();
        told.extend(others.map(|(state, seen)| (state.member.id, state.member.name, seen)));
    }
    told.retain(|(id, ..)| only.is_none_or(|known| known.id == *id));
    let shown = told.iter().map(|(_, name, seen)| show(name, seen));
    Ok(Json(
        json!({ "count": told.len(), "list": shown.collect::<Vec<_>>() }),
    ))
}

fn show(node: &str, seen: &Result<SettingsSeen, AskError>) -> Value {
    match seen {
        Ok(SettingsSeen(settings)) => {
            let row = |one: &cluster::SettingSeen| json!({"key": one.key, "value": one.value, "origin": one.origin});
            let settings: Vec<Value> = settings.iter().map(row).collect();
            json!({ "node": node, "settings": settings })
        }
        Err(error) => json!({ "node": node, "settings": null, "why": actors::why(*error) }),
    }
}
