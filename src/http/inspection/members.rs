//! How the agreed view and its nodes are shown, and how an operator names a node: by its name or by its id.

use actors::agreed_view::{Latest, NotAgreed, Orders};
use axum::http::StatusCode;
use cluster::{Cluster, Health, Member};
use domain::view::{Life, Loss, Phase, View};
use serde_json::{Value, json};

use crate::error::ApiError;

/// A node that this one knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) health: Health,
    pub(super) leaving: bool,
    /// Whether it is this one.
    pub(super) is_me: bool,
}

// === impl Known ===

impl Known {
    fn of(member: &Member, health: Health, leaving: bool, is_me: bool) -> Self {
        Self {
            id: member.id.clone(),
            name: member.name.clone(),
            health,
            leaving,
            is_me,
        }
    }

    /// Whether it is there, and stays.
    pub(super) fn is_connected(&self) -> bool {
        self.is_me || self.health == Health::Up && !self.leaving
    }
}

/// All nodes that this one knows of, itself first.
pub(super) fn nodes(cluster: &Cluster) -> Vec<Known> {
    let me = Known::of(cluster.me(), Health::Up, false, true);
    let others = cluster.members();
    let others = others
        .iter()
        .map(|state| Known::of(&state.member, state.health, state.leaving, false));
    std::iter::once(me).chain(others).collect()
}

/// The node with this name or id; of several with one name who is there.
pub(super) fn find<'a>(nodes: &'a [Known], named: &str) -> Option<&'a Known> {
    let fits = |known: &&Known| known.id == named || known.name == named;
    nodes
        .iter()
        .filter(fits)
        .max_by_key(|known| (known.id == named, known.is_connected()))
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Sync => "sync",
        Phase::Active => "active",
    }
}

/// The view; null before there is one.
pub(super) fn view(orders: &Orders, latest: &Latest) -> Value {
    let view = &latest.view;
    if view.entries == 0 {
        return Value::Null;
    }
    let lives = |lives: &[Life]| -> Vec<Value> {
        let life = |life: &Life| {
            json!({
                "name": orders.name(&life.node), "id": life.node,
                "incarnation": life.incarnation,
            })
        };
        lives.iter().map(life).collect()
    };
    json!({
        "epoch": view.epoch.number(), "phase": phase(view.phase), "entries": view.entries,
        "members": lives(&view.members), "sources": lives(&view.sources),
        "voters": names(orders, &view.voters), "lost": losses(orders, view, None),
    })
}

/// Whether the view names a node by its id, as one that takes part, took part or held what is lost.
pub(super) fn is_in(view: &View, id: &str) -> bool {
    let settled = view.last_active.as_ref();
    let lives = [&view.members, &view.sources].into_iter();
    let mut lives = lives
        .chain(settled.map(|settled| &settled.members))
        .flatten();
    let voters = std::iter::once(&view.voters);
    let voters = voters.chain(settled.map(|settled| &settled.voters));
    let holders = view.lost.iter().map(|loss| &loss.holders);
    lives.any(|life| life.node == id) || voters.chain(holders).flatten().any(|node| node == id)
}

/// What is lost, of one shard or of all.
pub(super) fn losses(orders: &Orders, view: &View, shard: Option<u16>) -> Vec<Value> {
    let of_it = |loss: &&Loss| shard.is_none_or(|shard| shard == loss.shard);
    let shown = view.lost.iter().filter(of_it).map(|loss| {
        json!({
            "shard": loss.shard, "holders": names(orders, &loss.holders), "until": loss.t0_ms,
            "epoch": loss.epoch.number(), "several": loss.is_mixed,
        })
    });
    shown.collect()
}

/// What people call these nodes.
pub(super) fn names(orders: &Orders, ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| orders.name(id)).collect()
}

/// Adds a member to an object.
pub(super) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

/// What an operator hears of an order that was not carried out.
pub(super) fn not_agreed(error: &NotAgreed) -> ApiError {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    tracing::warn!(%error, "an order was not agreed on");
    ApiError::new(status, 503, "Service Unavailable", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, name: &str, health: Health) -> Known {
        Known {
            id: id.to_owned(),
            name: name.to_owned(),
            health,
            leaving: false,
            is_me: false,
        }
    }

    #[test]
    fn the_view_knows_whoever_takes_part_took_part_or_held_what_is_lost() {
        let loss = Loss {
            shard: 3,
            holders: vec!["holder".to_owned()],
            t0_ms: 5,
            epoch: domain::view::Epoch::default(),
            held: domain::view::Epoch::default(),
            is_mixed: false,
        };
        let settled = domain::view::Settled {
            epoch: domain::view::Epoch::default(),
            members: vec![Life::new("before", 1)],
            voters: vec!["voted".to_owned()],
            t0_ms: None,
        };
        let view = View {
            members: vec![Life::new("member", 1)],
            sources: vec![Life::new("source", 1)],
            voters: vec!["voter".to_owned()],
            last_active: Some(settled),
            lost: vec![loss],
            ..View::default()
        };
        for id in ["member", "source", "before", "voter", "voted", "holder"] {
            assert!(is_in(&view, id), "{id}");
        }
        assert!(!is_in(&view, "moon"));
    }

    #[test]
    fn a_node_is_found_by_its_id_and_by_the_name_that_the_living_one_has() {
        let nodes = [
            known("1", "tm", Health::Down),
            known("2", "tm", Health::Up),
            known("tm", "3", Health::Down),
        ];
        let id = |named: &str| find(&nodes, named).map(|known| known.id.as_str());
        assert_eq!(id("1"), Some("1"));
        assert_eq!(id("3"), Some("tm"));
        assert_eq!(id("tm"), Some("tm"), "an id is nobody else's name");
        assert_eq!(
            find(&nodes[..2], "tm").map(|known| known.id.as_str()),
            Some("2")
        );
        assert_eq!(id("4"), None);
    }
}
