//! `/admin/ui/shards`: who owns which shard of the counters, as a picture and as a table.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use actors::traffic_manager::AskShards;
use domain::view::Phase;

use super::frame::Frame;
use super::person::Person;
use super::shard_map::Map;
use super::{SHARDS, answer};
use crate::services::Services;

#[derive(Template)]
#[template(path = "shards.html")]
struct Page {
    frame: Frame,
    news: String,
    map: Map,
    view: Option<Agreed>,
}

/// The agreed view in words.
struct Agreed {
    epoch: String,
    phase: &'static str,
    voters: String,
    leader: String,
    lost: usize,
    unanswered: String,
}

/// The page.
pub(super) async fn page(person: Person, State(services): State<Services>) -> Response {
    let ask = AskShards {
        shard: None,
        keys: 0,
    };
    let (seen, register) = tokio::join!(services.overview.shards(ask), services.orders.look());
    let orders = &services.orders;
    let map = Map::of(&seen, |id| orders.name(id));
    let names = |ids: &[String]| {
        let names: Vec<_> = ids.iter().map(|id| orders.name(id)).collect();
        names.join(", ")
    };
    let view = &seen.latest.view;
    let agreed = (view.entries > 0).then(|| Agreed {
        epoch: view.epoch.number().to_string(),
        phase: match view.phase {
            Phase::Sync => "in sync: nobody grants until it is active",
            Phase::Active => "active",
        },
        voters: names(&view.voters),
        leader: register
            .leader
            .map_or_else(|| "nobody says".to_owned(), |id| orders.name(&id)),
        lost: view.lost.len(),
        unanswered: names(&seen.unanswered),
    });
    let page = Page {
        frame: Frame::of(&services, person, SHARDS),
        news: map.told.clone(),
        map,
        view: agreed,
    };
    answer::page(StatusCode::OK, &page)
}
