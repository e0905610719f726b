//! `/admin/forget`: gives up what a node held of lost shards, which would come back with its disk and no other way (L6).

use actors::agreed_view::NotAgreed;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::view::{GivesUp, NotGivenUp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::members;
use super::voters::audit;
use crate::body::Fields;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::orderer::Orderer;
use crate::query::Query;
use crate::services::Services;

pub(super) static FORGETTABLE: Operation = Operation::new(
    "GET",
    "/admin/forget",
    Access::Scopes(&["apim:admin"]),
    BodyKind::Empty,
)
.looked_at()
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

/// Says what would be given up, or why it would be refused.
pub(super) async fn look(
    State(services): State<Services>,
    Query(Named { node }): Query<Named>,
) -> Result<Json<Value>, ApiError> {
    let named = named(&services, &node)?;
    if is_founding(&services) {
        return named.look_at_founder(&services, None).await.map(Json);
    }
    match services.orders.gives_up(&named.id).await {
        Ok(gives_up) => Ok(Json(named.show(&services, Some(&gives_up)))),
        // Whoever decided alone may be the one that is to be forgotten.
        Err(nobody @ NotAgreed::NobodyAnswers(_)) => {
            let looked = named.look_at_founder(&services, Some(&nobody)).await;
            looked.map(Json)
        }
        Err(error) => Err(named.refused(&error)),
    }
}

/// Gives it up.
pub(super) async fn forget(
    State(services): State<Services>,
    by: Orderer,
    mut fields: Fields,
) -> Result<Json<Value>, ApiError> {
    let node = fields.required_text("node", 255)?;
    let named = named(&services, &node)?;
    let (what, is_founding) = if is_founding(&services) {
        ("the founder of the view register never runs again", true)
    } else {
        ("what a node held of lost shards is given up", false)
    };
    audit(&by, what, &named.name, "ordered");
    let done = if is_founding {
        named.give_up_founder(&services, None).await
    } else {
        named.give_up(&services).await
    };
    let outcome = done.as_ref().map_or_else(
        |error| match error.status() {
            // Nobody says no: it may be agreed on by now.
            StatusCode::SERVICE_UNAVAILABLE => format!("unknown: {}", error.description()),
            _ => format!("refused: {}", error.description()),
        },
        |done| match done.get("founder") {
            Some(Value::Bool(true)) if !is_founding => {
                "agreed: it founded the view register and never runs again".to_owned()
            }
            _ => "agreed".to_owned(),
        },
    );
    audit(&by, what, &named.name, &outcome);
    done.map(Json)
}

/// Whether there is no view here yet: then it is decided over the control plane's database who founds the register.
fn is_founding(services: &Services) -> bool {
    services.orders.latest().view.entries == 0
}

/// The node that an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    id: String,
    name: String,
    /// Whether this node knows it.
    is_known: bool,
}

fn named(services: &Services, named: &str) -> Result<Node, ApiError> {
    if named.is_empty() {
        return Err(ApiError::bad_field("node", "is required"));
    }
    let nodes = members::nodes(&services.cluster);
    let known = members::find(&nodes, named);
    Ok(Node {
        id: known.map_or(named, |known| &known.id).to_owned(),
        name: known.map_or(named, |known| &known.name).to_owned(),
        is_known: known.is_some(),
    })
}

// === impl Node ===

impl Node {
    async fn give_up(&self, services: &Services) -> Result<Value, ApiError> {
        // Both are judged by whoever leads, the order once more when it is there.
        let gives_up = match services.orders.gives_up(&self.id).await {
            Ok(gives_up) => gives_up,
            Err(nobody @ NotAgreed::NobodyAnswers(_)) => {
                return self.give_up_founder(services, Some(&nobody)).await;
            }
            Err(error) => return Err(self.refused(&error)),
        };
        let ordered = services.orders.forget(&self.id).await;
        let is_known = ordered.map_err(|error| self.refused(&error))?;
        let mut shown = self.show(services, Some(&gives_up));
        members::put(&mut shown, "knownHere", is_known);
        self.retire(services, &mut shown).await;
        Ok(shown)
    }

    async fn look_at_founder(
        &self,
        services: &Services,
        nobody: Option<&NotAgreed>,
    ) -> Result<Value, ApiError> {
        let mut said = services.orders.is_founder(&self.id).await;
        if said == Ok(false) && self.name != self.id {
            // Of those that vote together the founder's name is known, which its successor has as well.
            said = services.orders.is_founder(&self.name).await;
        }
        self.is_founder(said, nobody)?;
        Ok(self.show(services, None))
    }

    async fn give_up_founder(
        &self,
        services: &Services,
        nobody: Option<&NotAgreed>,
    ) -> Result<Value, ApiError> {
        let mut said = services.orders.give_up_founder(&self.id).await;
        if said == Ok(false) && self.name != self.id {
            said = services.orders.give_up_founder(&self.name).await;
        }
        self.is_founder(said, nobody)?;
        let mut shown = self.show(services, None);
        members::put(&mut shown, "knownHere", true);
        self.retire(services, &mut shown).await;
        Ok(shown)
    }

    /// Has its certificate renewed by nobody any more, and says so; but not that of one which is there, and lost nothing but
    /// what it had counted.
    async fn retire(&self, services: &Services, shown: &mut Value) {
        let nodes = members::nodes(&services.cluster);
        let is_there = |known: &members::Known| known.id == self.id && known.is_connected();
        if nodes.iter().any(is_there) {
            return;
        }
        let retired = services.orders.retire(&self.id).await;
        members::put(shown, "retired", retired.is_ok());
        if let Err(why) = retired {
            tracing::warn!(
                node = self.name,
                why,
                "a node is forgotten, and its certificate may be renewed yet"
            );
            members::put(shown, "renewedYet", why);
        }
    }

    /// Refuses any but the founder, where `nobody` answers by why.
    fn is_founder(
        &self,
        said: Result<bool, NotAgreed>,
        nobody: Option<&NotAgreed>,
    ) -> Result<(), ApiError> {
        match (said, nobody) {
            (Ok(true), _) => Ok(()),
            (Err(there @ NotAgreed::FounderIsThere(_)), _) => Err(self.refused(&there)),
            (_, Some(nobody)) => Err(self.refused(nobody)),
            (Err(error), None) => Err(self.refused(&error)),
            (Ok(false), None) => Err(ApiError::conflict(
                "node",
                format!(
                    "node {} is not the one that founded the view register: name that one by its id, or where others vote \
                 with it by its name, which the log of the node that waits for it has",
                    self.name
                ),
            )),
        }
    }

    fn refused(&self, error: &NotAgreed) -> ApiError {
        let name = &self.name;
        match error {
            NotAgreed::NotGivenUp(NotGivenUp::NothingLost) if !self.is_known => {
                ApiError::not_found("node", name)
            }
            NotAgreed::NotGivenUp(NotGivenUp::NothingLost) => ApiError::conflict(
                "node",
                format!("nothing that node {name} held is lost, so there is nothing to give up"),
            ),
            NotAgreed::NotGivenUp(NotGivenUp::MayBeThere) => ApiError::conflict(
                "node",
                format!(
                    "node {name} is not known to be down: whoever is there, or may be, brings back what it has, so nothing \
                 of it is given up"
                ),
            ),
            NotAgreed::FounderIsThere(why) => ApiError::conflict(
                "node",
                format!(
                    "node {name} founded the view register and is there: {why}. Stop it for good before it is given up, or \
                 leave the register to it"
                ),
            ),
            other => members::not_agreed(other),
        }
    }

    /// What is given up; none where it is what the founder of the register decided alone.
    fn show(&self, services: &Services, gives_up: Option<&GivesUp>) -> Value {
        let is_founder = gives_up.is_none();
        let gives_up = gives_up.cloned().unwrap_or_default();
        let others: Vec<String> = gives_up.others.iter().cloned().collect();
        json!({
            "node": self.name, "id": self.id, "shards": gives_up.shards,
            "count": gives_up.shards.len(), "otherHolders": members::names(&services.orders, &others),
            "founder": is_founder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_hears_of_the_node_by_its_name_and_why() {
        let refused = |is_known, why| {
            let (id, name) = ("a".to_owned(), "tm-a".to_owned());
            let node = Node { id, name, is_known };
            let refused = node.refused(&NotAgreed::NotGivenUp(why));
            (refused.status().as_u16(), refused.description().to_owned())
        };
        let (status, told) = refused(true, NotGivenUp::MayBeThere);
        assert_eq!(status, 409);
        assert!(told.contains("tm-a is not known to be down"), "{told}");
        let (status, told) = refused(true, NotGivenUp::NothingLost);
        assert_eq!(status, 409);
        let wanted = "nothing that node tm-a held is lost";
        assert!(told.contains(wanted), "{told}");
        assert_eq!(refused(false, NotGivenUp::NothingLost).0, 404);
    }

    #[test]
    fn nobody_is_said_to_be_the_founder_that_is_not_known_to_be() {
        let node = Node {
            id: "a".to_owned(),
            name: "tm-a".to_owned(),
            is_known: true,
        };
        let nobody = NotAgreed::NobodyAnswers("none".to_owned());
        let there = || Err(NotAgreed::FounderIsThere("it renewed its hold".to_owned()));
        let unknown = || Err(NotAgreed::Refused("no answer".to_owned()));
        let status = |said, nobody| {
            let refused = node.is_founder(said, nobody).unwrap_err();
            (refused.status().as_u16(), refused.description().to_owned())
        };
        assert!(node.is_founder(Ok(true), Some(&nobody)).is_ok());
        for nobody in [None, Some(&nobody)] {
            let (status, told) = status(there(), nobody);
            assert!(status == 409 && told.contains("renewed its hold"), "{told}");
        }
        assert_eq!(status(Ok(false), None).0, 409);
        assert_eq!(status(unknown(), None).0, 503);
        assert_eq!(status(Ok(false), Some(&nobody)).0, 503);
    }
}
