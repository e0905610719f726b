//! `/admin/shards`: the agreed view, and each shard with its owner, its standby and what they say of it.

use actors::traffic_manager::{AskShards, LAYOUT, NAMED_KEYS, SeenShards};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{key_name, members};
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::{Page, listed_at};
use crate::query::Query;
use crate::seen::shards::Shard;
use crate::services::Services;

pub(super) static SHARDS: Operation = Operation::new(
    "GET",
    "/admin/shards",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at()
.query(&["limit", "offset", "node", "shard", "keys"]);

/// Which shards, and how many of their keys are to be named.
#[derive(Deserialize)]
pub(super) struct Asked {
    node: Option<String>,
    shard: Option<String>,
    keys: Option<String>,
}

// === impl Asked ===

impl Asked {
    fn read(&self) -> Result<AskShards, ApiError> {
        let last = LAYOUT.shards.saturating_sub(1);
        let shard = number("shard", self.shard.as_deref(), last)?;
        let keys = number("keys", self.keys.as_deref(), NAMED_KEYS)?;
        if keys.is_some() && shard.is_none() {
            let problem = "names keys of one shard: name that with shard as well";
            return Err(ApiError::bad_field("keys", problem));
        }
        let keys = keys.unwrap_or(0);
        Ok(AskShards { shard, keys })
    }
}

fn number(name: &str, text: Option<&str>, most: u16) -> Result<Option<u16>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(number) if number <= most => Ok(Some(number)),
        _ => Err(ApiError::bad_field(
            name,
            format!("must be a whole number from 0 to {most}"),
        )),
    }
}

pub(super) async fn shards(
    State(services): State<Services>,
    page: Page,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    let ask = asked.read()?;
    let node = asked.node.as_deref().map(|node| node_id(&services, node));
    let node = node.transpose()?;
    let (seen, register) = tokio::join!(services.overview.shards(ask), services.orders.look());
    let all = 0..LAYOUT.shards;
    let rows = all.filter(|shard| ask.shard.is_none_or(|only| only == *shard));
    let rows: Vec<Row<'_>> = rows.map(|shard| Row::of(&seen, shard)).collect();
    let with_node = |row: &&Row<'_>| node.as_ref().is_none_or(|node| row.has(node));
    let rows: Vec<&Row<'_>> = rows.iter().filter(with_node).collect();
    let shown = rows.iter().skip(page.offset).take(page.limit);
    let list: Vec<Value> = shown.map(|row| row.show(&services, &seen)).collect();
    let parameters = [
        ("node", asked.node.as_deref()),
        ("shard", asked.shard.as_deref()),
        ("keys", asked.keys.as_deref()),
    ];
    let mut answer = page.answer(&list, rows.len(), &listed_at("/admin/shards", &parameters));
    let orders = &services.orders;
    let leader = register.leader.map(|leader| orders.name(&leader));
    members::put(&mut answer, "view", members::view(orders, &seen.latest));
    members::put(&mut answer, "leader", leader);
    let silent = members::names(orders, &seen.unanswered);
    members::put(&mut answer, "unanswered", silent);
    Ok(Json(answer))
}

/// The id of a node that this one knows, or that the view names.
fn node_id(services: &Services, named: &str) -> Result<String, ApiError> {
    if let Some(known) = members::find(&members::nodes(&services.cluster), named) {
        return Ok(known.id.clone());
    }
    let view = services.overview.latest().view;
    let mut lives = view.members.iter().chain(&view.sources);
    if lives.any(|life| life.node == named) {
        return Ok(named.to_owned());
    }
    Err(ApiError::not_found("node", named))
}

/// One shard.
struct Row<'a>(Shard<'a>);

// === impl Row ===

impl<'a> Row<'a> {
    fn of(seen: &'a SeenShards, shard: u16) -> Self {
        Self(Shard::of(seen, shard))
    }

    fn has(&self, node: &str) -> bool {
        let Self(shard) = self;
        let holders = [shard.owner, shard.standby].into_iter().flatten();
        holders
            .chain(shard.sources.iter().copied())
            .any(|holder| holder == node)
    }

    fn show(&self, services: &Services, seen: &SeenShards) -> Value {
        let Self(shard) = self;
        let name = |id: &str| services.orders.name(id);
        let seat = shard.of_owner.map(|told| &told.seat);
        let phase = seat.map(|seat| if seat.active { "active" } else { "sync" });
        let named = shard.of_owner.map(|told| {
            let named = told.named.iter().map(key_name::write);
            named.collect::<Vec<_>>()
        });
        json!({
            "shard": shard.number, "owner": shard.owner.map(name), "standby": shard.standby.map(name),
            "sources": shard.sources.iter().map(|id| name(id)).collect::<Vec<_>>(),
            "epoch": seat.map(|seat| seat.epoch.number()), "phase": phase,
            "grants": seat.map(|seat| seat.grants), "keys": shard.of_owner.map(|told| told.keys),
            "copied": shard.of_standby.map(|told| told.keys),
            "waiting": shard.of_owner.map(|told| told.waiting),
            "fullUntil": shard.of_owner.and_then(|told| told.full_until_ms),
            "losses": members::losses(&services.orders, &seen.latest.view, Some(shard.number)),
            "named": named,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(shard: Option<&str>, keys: Option<&str>) -> Result<AskShards, String> {
        let asked = Asked {
            node: None,
            shard: shard.map(str::to_owned),
            keys: keys.map(str::to_owned),
        };
        asked.read().map_err(|error| error.description().to_owned())
    }

    #[test]
    fn a_shard_and_a_number_of_keys_are_within_their_bounds_or_named() {
        let all = AskShards {
            shard: None,
            keys: 0,
        };
        assert_eq!(asked(None, None), Ok(all));
        let some = AskShards {
            shard: Some(255),
            keys: 200,
        };
        assert_eq!(asked(Some("255"), Some("200")), Ok(some));
        for (shard, keys, field) in [
            (Some("256"), None, "shard: "),
            (Some("-1"), None, "shard: "),
            (Some("x"), None, "shard: "),
            (Some("1"), Some("201"), "keys: "),
            (None, Some("1"), "keys: "),
        ] {
            let refused = asked(shard, keys).unwrap_err();
            assert!(refused.starts_with(field), "{refused}");
        }
    }
}
