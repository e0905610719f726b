//! `/admin/cluster`: the members that this node knows, and how they are doing.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static CLUSTER: Operation = Operation::new(
    "GET",
    "/admin/cluster",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
);

pub(super) async fn cluster(State(services): State<Services>) -> Json<Value> {
    let me = services.cluster.me();
    let mut list = vec![json!({
        "name": me.name, "id": me.id, "incarnation": me.incarnation, "address": me.address,
        "roles": me.roles, "health": "up", "leaving": false, "self": true,
    })];
    list.extend(services.cluster.members().into_iter().map(|state| {
        json!({
            "name": state.member.name, "id": state.member.id,
            "incarnation": state.member.incarnation, "address": state.member.address,
            "roles": state.member.roles, "health": state.health, "leaving": state.leaving,
            "self": false,
        })
    }));
    Json(json!({ "count": list.len(), "list": list }))
}
