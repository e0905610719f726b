//! `/admin/forget`: gives up what a node held of lost shards, which would come back with its disk and no other way (L6).

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use cluster::Health;
use domain::view::{Phase, View};
use serde::Deserialize;
use serde_json::{Value, json};

use super::members::{self, Known};
use super::voters::audit;
use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

pub(super) static FORGETTABLE: Operation = Operation::new(
    "GET",
    "/admin/forget",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.query(&["node"]);

pub(super) static FORGET: Operation = Operation::new(
    "POST",
    "/admin/forget",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Json,
);

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    node: String,
}

/// What would be given up with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GivenUp {
    id: String,
    name: String,
    /// The shards, and others that may bring some of it back as well.
    shards: BTreeSet<u16>,
    others: BTreeSet<String>,
}

/// Says what would be given up, or why it would be refused.
pub(super) async fn look(
    State(services): State<Services>,
    Query(Named { node }): Query<Named>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(show(&services, &given_up(&services, &node)?)))
}

/// Gives it up.
pub(super) async fn forget(
    State(services): State<Services>,
    caller: Caller,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let node = fields.required_text("node", 255)?;
    let given_up = given_up(&services, &node)?;
    let shards = given_up.shards.len();
    audit(
        &caller,
        &format!("what a node held of {shards} lost shards is given up"),
        &given_up.name,
    );
    let ordered = services.orders.forget(&given_up.id).await;
    let is_known = ordered.map_err(|error| members::not_agreed(&error))?;
    let mut shown = show(&services, &given_up);
    members::put(&mut shown, "knownHere", is_known);
    Ok(Json(shown))
}

fn given_up(services: &Services, named: &str) -> Result<GivenUp, ApiError> {
    if named.is_empty() {
        return Err(ApiError::bad_field("node", "is required"));
    }
    let nodes = members::nodes(&services.cluster);
    judge(
        named,
        members::find(&nodes, named),
        &services.orders.latest().view,
    )
}

fn judge(named: &str, known: Option<&Known>, view: &View) -> Result<GivenUp, ApiError> {
    let id = known.map_or(named, |known| known.id.as_str());
    let name = known.map_or(named, |known| known.name.as_str());
    let held = |holders: &[String]| holders.iter().any(|holder| holder == id);
    let losses = view.lost.iter().filter(|loss| held(&loss.holders));
    let (mut shards, mut others) = (BTreeSet::new(), BTreeSet::new());
    for loss in losses {
        shards.insert(loss.shard);
        let holders = loss.holders.iter().filter(|holder| *holder != id);
        others.extend(holders.cloned());
    }
    // Whoever is there brings back what it has by itself: by the time that a view with it is active, what is missing still
    // is not on its disk.
    let was_asked = view.phase == Phase::Active && view.members.iter().any(|life| life.node == id);
    let is_there = known.is_some_and(|known| known.is_me || known.health != Health::Down);
    let has_it_not = was_asked && !shards.is_empty();
    let is_there = is_there && !has_it_not;
    match (known, is_there) {
        (None, _) if shards.is_empty() => Err(ApiError::not_found("node", named)),
        (_, true) => Err(ApiError::conflict(format!(
            "node {name} is not known to be down: whoever is there, or may be, brings back what it has, so nothing of it is given up"
        ))),
        (_, false) if shards.is_empty() => Err(ApiError::conflict(format!(
            "nothing that node {name} held is lost, so there is nothing to give up"
        ))),
        (_, false) => Ok(GivenUp {
            id: id.to_owned(),
            name: name.to_owned(),
            shards,
            others,
        }),
    }
}

fn show(services: &Services, given_up: &GivenUp) -> Value {
    let others: Vec<String> = given_up.others.iter().cloned().collect();
    json!({
        "node": given_up.name, "id": given_up.id, "shards": given_up.shards,
        "count": given_up.shards.len(), "otherHolders": members::names(&services.orders, &others),
    })
}

#[cfg(test)]
mod tests {
    use domain::view::{Epoch, Life, Loss};

    use super::*;

    fn known(id: &str, health: Health) -> Known {
        Known {
            id: id.to_owned(),
            name: format!("tm-{id}"),
            health,
            leaving: false,
            is_me: false,
        }
    }

    fn view() -> View {
        let loss = |shard, holders: [&str; 2]| Loss {
            shard,
            holders: holders.map(str::to_owned).to_vec(),
            t0_ms: 5,
            epoch: Epoch::default(),
            held: Epoch::default(),
            is_mixed: false,
        };
        View {
            lost: vec![
                loss(3, ["a", "b"]),
                loss(7, ["c", "a"]),
                loss(3, ["a", "c"]),
            ],
            ..View::default()
        }
    }

    #[test]
    fn what_is_given_up_with_a_node_is_what_it_held_of_lost_shards() {
        let down = known("a", Health::Down);
        let given_up = judge("tm-a", Some(&down), &view()).unwrap();
        assert_eq!(given_up.shards, BTreeSet::from([3, 7]));
        assert_eq!(given_up.others, ["b", "c"].map(str::to_owned).into());
        let long_gone = judge("b", None, &view()).unwrap();
        assert_eq!((long_gone.id.as_str(), long_gone.shards.len()), ("b", 1));
    }

    #[test]
    fn what_a_node_that_is_there_has_lost_itself_is_given_up_as_well() {
        let mut view = view();
        view.members = vec![Life::new("a", 1)];
        let up = known("a", Health::Up);
        assert!(judge("a", Some(&up), &view).is_err(), "it may bring it yet");
        view.phase = Phase::Active;
        assert_eq!(judge("a", Some(&up), &view).unwrap().shards.len(), 2);
    }

    #[test]
    fn who_is_there_who_lost_nothing_and_who_is_not_known_are_refused_with_the_reason() {
        let refused = |named: &str, known: Option<&Known>| {
            let refused = judge(named, known, &view()).unwrap_err();
            (refused.status().as_u16(), refused.description().to_owned())
        };
        for health in [Health::Up, Health::Suspect, Health::Unmet] {
            let (status, told) = refused("a", Some(&known("a", health)));
            assert_eq!(status, 409);
            assert!(told.contains("tm-a is not known to be down"), "{told}");
        }
        let (status, told) = refused("d", Some(&known("d", Health::Down)));
        assert_eq!(status, 409);
        assert!(
            told.contains("nothing that node tm-d held is lost"),
            "{told}"
        );
        assert_eq!(refused("moon", None).0, 404);
    }
}
