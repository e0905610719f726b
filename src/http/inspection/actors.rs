//! `/admin/actors`: every actor of every node with its counters, and the way to start one anew.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cluster::{ActorFound, ActorReport, AskActor, AskActors, AskError, RestartActor};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::members::{self, Known};
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::orderer::Orderer;
use crate::query::Query;
use crate::seen::PATIENCE;
use crate::seen::actors::{self as seen, Told, all};
use crate::services::Services;

/// The most rows of a page, and how many it has when nobody says.
const LIMIT: usize = 1_000;
/// So long an actor is waited for that is to show itself.
const SHOWN_WITHIN: Duration = Duration::from_millis(500);
/// After which it is looked at again whether it has.
const SHOWN_AGAIN: Duration = Duration::from_millis(20);
/// Said of one that has not.
const HANGS: &str = "it is busy or hangs: this is what it showed last";

pub(super) static LIST_ACTORS: Operation = Operation::new(
    "GET",
    "/admin/actors",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at()
.query(&["node", "component", "kind", "name", "limit", "offset"]);

pub(super) static ACTOR: Operation = Operation::new(
    "GET",
    "/admin/actors/{node}/{*name}",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at();

pub(super) static RESTART_ACTOR: Operation = Operation::new(
    "POST",
    "/admin/actors/restart",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.query(&["name", "node"]);

/// Which actors, and which part of them.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Of this node alone, by name or id.
    node: Option<String>,
    /// The first word of their names, such as `gateway`.
    component: Option<String>,
    kind: Option<String>,
    /// What their names begin with.
    name: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
}

pub(super) async fn list(
    State(services): State<Services>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    let limit = number("limit", asked.limit.as_deref(), LIMIT)?.min(LIMIT);
    if limit == 0 {
        return Err(ApiError::bad_field("limit", "must be 1 or more"));
    }
    let offset = number("offset", asked.offset.as_deref(), 0)?;
    let prefix = asked.name.unwrap_or_default();
    let kind = asked.kind.unwrap_or_default();
    let ask = AskActors { prefix, kind };
    let told = match asked.node.as_deref().filter(|node| !node.is_empty()) {
        None => all(&services, &ask).await,
        Some(node) => vec![one(&services, &find(&services, node)?, &ask).await],
    };
    let component = asked.component.unwrap_or_default();
    let is_asked_for = |actor: &&ActorReport| {
        let first = actor.name.split('/').next().unwrap_or_default();
        component.is_empty() || first == component
    };
    let mut rows = Vec::new();
    for one in &told {
        let seen = one.seen.iter().flat_map(|seen| &seen.actors);
        rows.extend(seen.filter(is_asked_for).map(|actor| row(&one.node, actor)));
    }
    let total = rows.len();
    let list: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    let next = offset.saturating_add(list.len());
    Ok(Json(json!({
        "toldBy": services.cluster.me().name,
        "count": list.len(),
        "total": total,
        "list": list,
        "next": (next < total).then_some(next),
        "unanswered": unanswered(&told),
    })))
}

/// One actor, with those below it, and what it shows of itself.
pub(super) async fn actor(
    State(services): State<Services>,
    Path((node, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let known = find(&services, &node)?;
    let ask = AskActors {
        prefix: name.clone(),
        kind: String::new(),
    };
    let (told, shown) = tokio::join!(
        one(&services, &known, &ask),
        shown(&services, &known, &name)
    );
    let seen = told.seen.map_err(|error| silence(&known.name, error))?;
    let found = seen.actors.iter().find(|actor| actor.name == name);
    let found = found.ok_or_else(|| ApiError::not_found("actor", &name))?;
    let below = |actor: &&ActorReport| {
        let rest = actor.name.strip_prefix(&name);
        let rest = rest.and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|rest| !rest.contains('/'))
    };
    let children = seen.actors.iter().filter(below);
    let children: Vec<&str> = children.map(|actor| actor.name.as_str()).collect();
    let parent = name.rsplit_once('/').map(|(parent, _)| parent);
    let mut row = row(&known.name, found);
    if let Some(members) = row.as_object_mut() {
        members.insert("children".to_owned(), children.into());
        members.insert("parent".to_owned(), parent.into());
        members.extend(shown);
    }
    Ok(Json(row))
}

/// What the actor shows of its state, with whom it deals, and how old that is. Who hangs shows what it showed last.
async fn shown(services: &Services, known: &Known, name: &str) -> Map<String, Value> {
    let began = services.system.clock.monotonic();
    let mut anew = true;
    let seen = loop {
        let name = name.to_owned();
        let ask = AskActor { name, anew };
        let seen = match known.is_me {
            true => Ok(services.system.actor(&ask)),
            false => services.cluster.ask(&known.id, &ask, PATIENCE).await,
        };
        let is_asked = matches!(&seen, Ok(ActorFound(Some(seen))) if seen.is_asked);
        let waited = services.system.clock.monotonic().saturating_sub(began);
        if !is_asked || waited >= SHOWN_WITHIN {
            break seen;
        }
        anew = false;
        tokio::time::sleep(SHOWN_AGAIN).await;
    };
    let (seen, why) = match seen {
        Ok(ActorFound(seen)) => {
            let hangs = seen.as_ref().is_some_and(|seen| seen.is_asked);
            (seen, hangs.then(|| HANGS.to_owned()))
        }
        Err(error) => (None, Some(seen::why(error))),
    };
    let age_ms = seen.as_ref().map(|seen| seen.age_ms);
    let shown = seen.and_then(|seen| seen.shown);
    let age_ms = age_ms.filter(|_| shown.is_some());
    let (state, links) = shown.map(|shown| (shown.state, shown.links)).unzip();
    let state = state.map(|state| {
        let state = state.into_iter();
        state
            .map(|(what, stands)| (what, Value::from(stands)))
            .collect::<Map<_, _>>()
    });
    let members = [
        ("state", json!(state)),
        ("links", json!(links.unwrap_or_default())),
        ("stateAgeMs", json!(age_ms)),
        ("stateLacks", json!(why)),
    ];
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    name: String,
    node: Option<String>,
}

/// Ends an actor's present incarnation; its supervisor starts the next one from its arguments.
pub(super) async fn restart(
    State(services): State<Services>,
    by: Orderer,
    Query(Named { name, node }): Query<Named>,
) -> Result<Json<Value>, ApiError> {
    if name.is_empty() {
        return Err(ApiError::bad_field("name", "is required"));
    }
    let me = services.cluster.me().name.clone();
    let node = node.filter(|node| !node.is_empty()).unwrap_or(me);
    let known = find(&services, &node)?;
    let Orderer {
        user,
        tenant,
        address,
    } = by;
    let audit = |outcome: &str| {
        tracing::info!(target: "audit", %user, %tenant, %address, actor = name, node = known.name, outcome, "an actor is started anew");
    };
    audit("ordered");
    let restarts = if known.is_me {
        Ok(services.system.registry.restart(&name))
    } else {
        let asked = RestartActor {
            name: name.clone(),
            user: user.to_string(),
            tenant: tenant.to_string(),
            at: services.cluster.me().name.clone(),
        };
        let answer = services.cluster.ask(&known.id, &asked, PATIENCE).await;
        answer.map(|answer| answer.0)
    };
    match restarts {
        Ok(true) => {
            audit("done");
            Ok(Json(
                json!({ "name": name, "node": known.name, "restarting": true }),
            ))
        }
        Ok(false) => {
            audit("refused: there is no such actor");
            Err(ApiError::not_found("actor", &name))
        }
        Err(error) => {
            let why = seen::why(error);
            // Nobody took it or understood it: it was not carried out.
            let outcome = match error {
                AskError::Unsupported | AskError::Unavailable | AskError::Overloaded => "refused",
                AskError::Dropped | AskError::Timeout => "unknown",
            };
            audit(&format!("{outcome}: {why}"));
            Err(silence(&known.name, error))
        }
    }
}

async fn one(services: &Services, known: &Known, ask: &AskActors) -> Told {
    let seen = if known.is_me {
        Ok(services.system.actors(ask))
    } else {
        services.cluster.ask(&known.id, ask, PATIENCE).await
    };
    let node = known.name.clone();
    Told { node, seen }
}

fn find(services: &Services, named: &str) -> Result<Known, ApiError> {
    let nodes = members::nodes(&services.cluster);
    let known = members::find(&nodes, named).cloned();
    known.ok_or_else(|| ApiError::not_found("node", named))
}

fn row(node: &str, actor: &ActorReport) -> Value {
    let mut row = json!(actor);
    if let Some(members) = row.as_object_mut() {
        members.insert("node".to_owned(), node.into());
    }
    row
}

/// Who said nothing, or not all, and why.
fn unanswered(told: &[Told]) -> Vec<Value> {
    let why = |one: &Told| {
        one.lack()
            .map(|why| json!({ "node": one.node, "why": why }))
    };
    told.iter().filter_map(why).collect()
}

fn silence(node: &str, error: AskError) -> ApiError {
    let code = StatusCode::SERVICE_UNAVAILABLE;
    let why = seen::why(error);
    let what = format!("node {node} says nothing of its actors now: {why}");
    ApiError::new(code, 503, "Service Unavailable", what)
}

fn number(name: &str, text: Option<&str>, otherwise: usize) -> Result<usize, ApiError> {
    match text {
        None => Ok(otherwise),
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::bad_field(name, "must be a whole number of 0 or more")),
    }
}
