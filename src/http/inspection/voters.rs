//! `/admin/voters`: who votes on views of traffic managers, and the choice of others. Whoever leads carries a choice out;
//! the old voters are needed until a view of the new ones is active.

use actors::agreed_view::NotAgreed;
use actors::agreed_view::message::RegisterSeen;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cluster::Health;
use domain::view::{Phase, View};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::members::{self, Known};
use crate::body::Fields;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::orderer::Orderer;
use crate::services::Services;

pub(super) static VOTERS: Operation = Operation::new(
    "GET",
    "/admin/voters",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at();

pub(super) static CHOOSE_VOTERS: Operation = Operation::new(
    "PUT",
    "/admin/voters",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Json,
)
.required(&["voters"]);

pub(super) static FREE_VOTERS: Operation = Operation::new(
    "DELETE",
    "/admin/voters",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
);

pub(super) async fn voters(State(services): State<Services>) -> Json<Value> {
    Json(shown(&services).await)
}

/// Has others vote: done once `settled` says so.
pub(super) async fn choose(
    State(services): State<Services>,
    by: Orderer,
    mut fields: Fields,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let named = fields.texts("voters", 255)?;
    let named = named.ok_or_else(|| ApiError::bad_field("voters", "is required"))?;
    let nodes = members::nodes(&services.cluster);
    let chosen = chosen(&named, &nodes)?;
    for known in &chosen {
        if !services.orders.answers(&known.id).await {
            return Err(ApiError::conflict(
                "voters",
                format!(
                    "node {} does not answer, or its version knows of no votes: nothing was changed",
                    known.name
                ),
            ));
        }
    }
    let names: Vec<&str> = chosen.iter().map(|known| known.name.as_str()).collect();
    let ids = chosen.iter().map(|known| known.id.clone()).collect();
    ordered(&services, &by, (ids, &names.join(" "))).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&services).await)))
}

/// Takes the choice back: whoever is best for it votes.
pub(super) async fn free(
    State(services): State<Services>,
    by: Orderer,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    ordered(&services, &by, (Vec::new(), "")).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&services).await)))
}

/// Has it agreed on who votes; tells of the order, and of what came of it.
async fn ordered(
    services: &Services,
    by: &Orderer,
    (ids, names): (Vec<String>, &str),
) -> Result<(), ApiError> {
    let what = if ids.is_empty() {
        "who votes on views is left to the cluster"
    } else {
        "who votes on views is chosen"
    };
    audit(by, what, names, "ordered");
    let ordered = services.orders.choose(ids).await;
    let outcome = match &ordered {
        Ok(()) => "agreed".to_owned(),
        Err(NotAgreed::Unknown(why)) => format!("unknown: {why}"),
        Err(error) => format!("refused: {error}"),
    };
    audit(by, what, names, &outcome);
    ordered.map_err(|error| members::not_agreed(&error))
}

/// Who ordered what, when, and what came of it: a line of its own kind, so that it can be kept apart.
pub(super) fn audit(by: &Orderer, what: &str, nodes: &str, outcome: &str) {
    let Orderer {
        user,
        tenant,
        address,
    } = by;
    tracing::info!(target: "audit", %user, %tenant, %address, nodes, outcome, "{what}");
}

/// The nodes that are named, if they may vote together.
fn chosen<'a>(named: &[String], nodes: &'a [Known]) -> Result<Vec<&'a Known>, ApiError> {
    let bad = |problem: String| ApiError::bad_field("voters", problem);
    if !matches!(named.len(), 1 | 3 | 5) {
        let count = named.len();
        return Err(bad(format!("must name 1, 3 or 5 nodes, not {count}")));
    }
    let mut chosen: Vec<&Known> = Vec::new();
    for (place, name) in named.iter().enumerate() {
        let field = format!("voters[{place}]");
        let Some(known) = members::find(nodes, name) else {
            let shown: String = name.chars().take(100).collect();
            let problem = format!("no node {shown} is known: see headgate status");
            return Err(ApiError::bad_field(&field, problem));
        };
        if chosen.iter().any(|other| other.id == known.id) {
            let problem = format!("{} is named twice", known.name);
            return Err(ApiError::bad_field(&field, problem));
        }
        chosen.push(known);
    }
    match chosen.iter().find(|known| !known.is_connected()) {
        Some(away) => Err(ApiError::conflict(
            "voters",
            format!(
                "node {} is {}: whoever is to vote has to be connected, nothing was changed",
                away.name,
                state(away)
            ),
        )),
        None => Ok(chosen),
    }
}

fn state(known: &Known) -> &'static str {
    match known.health {
        Health::Up if known.leaving => "leaving",
        Health::Up => "up",
        Health::Unmet => "not met yet",
        Health::Suspect => "silent",
        Health::Down => "down",
    }
}

async fn shown(services: &Services) -> Value {
    let register = services.orders.look().await;
    let latest = services.orders.latest();
    // What voters say of themselves first; else what everybody was told.
    let known = !register.voters.is_empty();
    let now = if known {
        &register.voters
    } else {
        &latest.voters
    };
    let answers = answering(services, now).await;
    let nodes = members::nodes(&services.cluster);
    let name = |id: &String| services.orders.name(id);
    let voters = now.iter().zip(answers).map(|(id, answers)| {
        let node = members::find(&nodes, id);
        json!({
            "name": name(id), "id": id, "answers": answers, "state": node.map(state),
            "leads": register.leader.as_ref() == Some(id),
        })
    });
    let names = |ids: &[String]| members::names(&services.orders, ids);
    json!({
        "voters": voters.collect::<Vec<_>>(), "next": names(&register.next),
        "chosen": names(&register.chosen), "leader": register.leader.as_ref().map(name),
        "view": members::view(&services.orders, &latest),
        "settled": known && is_settled(&register, &latest.view),
    })
}

/// Whether each of these answers, asked side by side.
async fn answering(services: &Services, ids: &[String]) -> Vec<bool> {
    let mut asking = JoinSet::new();
    for (place, id) in ids.iter().enumerate() {
        let (orders, id) = (services.orders.clone(), id.clone());
        asking.spawn(async move { (place, orders.answers(&id).await) });
    }
    let mut answers = vec![false; ids.len()];
    while let Some(answer) = asking.join_next().await {
        if let Ok((place, answers_now)) = answer
            && let Some(known) = answers.get_mut(place)
        {
            *known = answers_now;
        }
    }
    answers
}

/// Whether those vote that are to, and a view of theirs is active: whoever voted before is needed no more.
fn is_settled(register: &RegisterSeen, view: &View) -> bool {
    let sorted = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort();
        ids
    };
    let wanted = if register.chosen.is_empty() {
        &register.voters
    } else {
        &register.chosen
    };
    let wanted = sorted(wanted);
    register.next.is_empty()
        && sorted(&register.voters) == wanted
        && view.phase == Phase::Active
        && sorted(&view.voters) == wanted
}

#[cfg(test)]
mod tests {
    use domain::view::{Entry, Epoch, Life};

    use super::*;

    fn node(name: &str, health: Health, leaving: bool) -> Known {
        Known {
            id: format!("id-{name}"),
            name: name.to_owned(),
            health,
            leaving,
            is_me: false,
        }
    }

    fn judged(named: &str) -> Result<String, String> {
        let up = ["a", "b", "c"].map(|name| node(name, Health::Up, false));
        let mut nodes = up.to_vec();
        nodes.push(node("down", Health::Down, false));
        nodes.push(node("silent", Health::Suspect, false));
        nodes.push(node("leaving", Health::Up, true));
        let named: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
        let chosen = chosen(&named, &nodes);
        let names = |chosen: Vec<&Known>| chosen.iter().map(|one| one.name.clone()).collect();
        let names = chosen.map(|chosen| -> Vec<String> { names(chosen) });
        names
            .map(|names| names.join(" "))
            .map_err(|error| error.description().to_owned())
    }

    #[test]
    fn one_three_or_five_nodes_that_are_connected_may_vote_and_others_are_named() {
        assert_eq!(judged("a"), Ok("a".to_owned()));
        assert_eq!(judged("c id-a b"), Ok("c a b".to_owned()));
        for (named, told) in [
            ("", "voters: must name 1, 3 or 5 nodes, not 0"),
            ("a b", "voters: must name 1, 3 or 5 nodes, not 2"),
            ("a b c down", "not 4"),
            ("a b moon", "voters[2]: no node moon is known"),
            ("a b id-a", "voters[2]: a is named twice"),
            ("a b down", "node down is down"),
            ("a b silent", "node silent is silent"),
            ("a leaving b", "node leaving is leaving"),
        ] {
            let refused = judged(named).unwrap_err();
            assert!(refused.contains(told), "{named}: {refused}");
        }
    }

    #[test]
    fn a_change_of_voters_is_over_once_a_view_of_the_new_ones_is_active() {
        let ids =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let register = |voters: &str, next: &str, chosen: &str| RegisterSeen {
            voters: ids(voters),
            next: ids(next),
            chosen: ids(chosen),
            leader: None,
        };
        let at = |index| Epoch::new(1, index).unwrap();
        let mut view = View::default();
        let sync = Entry::Sync {
            members: vec![Life::new("a", 1)],
            sources: Vec::new(),
            voters: ids("a b c"),
        };
        view.apply(at(1), sync);
        let settled = register("c b a", "", "b a c");
        assert!(!is_settled(&settled, &view), "it has only begun");
        let (of, t0_ms) = (at(1), None);
        let (lost, found) = (Vec::new(), Vec::new());
        let active = Entry::Active {
            of,
            t0_ms,
            lost,
            found,
        };
        view.apply(at(2), active);
        assert!(is_settled(&settled, &view));
        assert!(is_settled(&register("c b a", "", ""), &view));
        assert!(!is_settled(&register("c b a", "a", "b a c"), &view));
        assert!(!is_settled(&register("a", "", "b a c"), &view));
        assert!(
            !is_settled(&register("a", "", "a"), &view),
            "of the old ones"
        );
    }
}
