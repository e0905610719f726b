//! `/admin/cluster`: the members that this node knows and how they are doing, and where the change
//! log and its followers stand.

use std::time::Duration;

use actors::change_feed::{FollowerAt, Standing};
use axum::Json;
use axum::extract::State;
use cluster::{About, Cluster, Member};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::seen::{followers, members};
use crate::services::Services;

pub(super) static CLUSTER: Operation = Operation::new(
    "GET",
    "/admin/cluster",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at();

pub(super) async fn cluster(State(services): State<Services>) -> Json<Value> {
    let (members, standing) =
        tokio::join!(members::others(&services), followers::standing(&services),);
    let clock = &services.system.clock;
    // Other nodes are seen by the boot clock, people read the wall's.
    let ago =
        |passed: Duration| clock.now_ms() - i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
    let me = services.cluster.me();
    let mut list = vec![member(me, |shown| {
        shown["health"] = "up".into();
        shown["leaving"] = false.into();
        shown["self"] = true.into();
        shown["answers"] = true.into();
        tell_about(shown, services.cluster.about());
        shown["since"] = ago(services.cluster.up_for()).into();
    })];
    for told in members {
        let (state, about, since) = (told.state, told.about, told.since);
        list.push(member(&state.member, |shown| {
            shown["health"] = json!(state.health);
            shown["leaving"] = state.leaving.into();
            shown["self"] = false.into();
            shown["answers"] = about.is_some().into();
            tell_about(shown, about.as_ref());
            shown["since"] = ago(since).into();
        }));
    }
    let log = match standing {
        Ok(Standing::At { head, followers }) => change_log(&services.cluster, head, &followers),
        Ok(Standing::Unavailable) | Err(_) => Value::Null,
    };
    Json(json!({ "count": list.len(), "list": list, "changeLog": log }))
}

pub(super) static CHANGES: Operation = Operation::new(
    "GET",
    "/admin/changes",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at();

/// Where the change log stands, and who has applied how much of it.
pub(super) async fn changes(State(services): State<Services>) -> Result<Json<Value>, ApiError> {
    match followers::standing(&services).await {
        Ok(Standing::At { head, followers }) => {
            Ok(Json(change_log(&services.cluster, head, &followers)))
        }
        Ok(Standing::Unavailable) => {
            Err(ApiError::unavailable(&"the database of the control plane"))
        }
        Err(error) => Err(ApiError::unavailable(&error)),
    }
}

fn member(member: &Member, rest: impl FnOnce(&mut Value)) -> Value {
    let mut shown = json!({
        "name": member.name, "id": member.id, "incarnation": member.incarnation,
        "address": member.address, "roles": member.roles,
    });
    rest(&mut shown);
    shown
}

fn tell_about(shown: &mut Value, about: Option<&About>) {
    shown["version"] = about.map(|about| about.version.clone()).into();
    shown["protocol"] = about.map(About::protocol_text).into();
}

fn change_log(cluster: &Cluster, head: u64, all: &[FollowerAt]) -> Value {
    let members = cluster.members();
    let shown = all.iter().map(|one| {
        json!({
            "follower": one.name, "node": followers::node(cluster, &members, &one.name),
            "kind": one.kind.as_str(), "applied": one.applied,
            "behind": one.applied.map(|applied| head.saturating_sub(applied)),
            "silentMs": one.silent_ms, "lease": followers::lease(one),
        })
    });
    json!({ "head": head, "followers": shown.collect::<Vec<_>>() })
}
