//! `/admin/forget`: gives up what a node held of lost shards, which would come back with its disk and no other way (L6), and
//! retires it: whether anything of it was lost or not its certificate is renewed no more.

use actors::agreed_view::{LookedUp, NotAgreed};
use actors::change_feed::{FollowerAt, Standing};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cluster::spawn_named;
use domain::node_id::is_node_id;
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
use crate::seen::followers;
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
)
.required(&["node"]);

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
    match named.gives_up(&services).await? {
        Ok(gives_up) => Ok(Json(named.show(&services, Some(&gives_up)))),
        // Whoever decided alone may be the one that is to be forgotten.
        Err(nobody) => {
            let looked = named.look_at_founder(&services, Some(&nobody)).await;
            looked.map(Json)
        }
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
    let is_founding = is_founding(&services);
    // Whoever asked may be gone before it is known what comes of it: what was begun goes on, and is told of.
    let forgetting = spawn_named("forgetting a node", async move {
        let what = if is_founding {
            "the founder of the view register never runs again"
        } else {
            "what a node held of lost shards is given up"
        };
        audit(&by, what, &named.name, "ordered");
        let done = if is_founding {
            named.give_up_founder(&services, None).await
        } else {
            named.give_up(&services).await
        };
        audit(&by, what, &named.name, &outcome(&done, is_founding));
        done
    });
    let done = forgetting.await;
    done.map_err(|error| ApiError::internal(&error))?.map(Json)
}

/// What came of it, in the words of the audit log.
fn outcome(done: &Result<Value, ApiError>, is_founding: bool) -> String {
    let done = match done {
        Ok(done) => done,
        // Nobody says no: it may be agreed on by now.
        Err(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {
            return format!("unknown: {}", error.description());
        }
        Err(error) => return format!("refused: {}", error.description()),
    };
    let is_founder = done.get("founder") == Some(&Value::Bool(true));
    let agreed = if is_founder && !is_founding {
        "agreed: it founded the view register and never runs again"
    } else if !is_founder && done.get("count") == Some(&json!(0)) {
        "agreed: nothing of it was lost"
    } else {
        "agreed"
    };
    match done.get("renewedYet").and_then(Value::as_str) {
        None => format!("{agreed}; retired"),
        Some(why) => format!("{agreed}; not retired: {why}"),
    }
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
    /// Whether this node knows it, by itself or by the view.
    is_known: bool,
}

fn named(services: &Services, named: &str) -> Result<Node, ApiError> {
    if named.is_empty() {
        return Err(ApiError::bad_field("node", "is required"));
    }
    let nodes = members::nodes(&services.cluster);
    let known = members::find(&nodes, named);
    let is_in_view = is_node_id(named) && members::is_in(&services.orders.latest().view, named);
    Ok(Node {
        id: known.map_or(named, |known| &known.id).to_owned(),
        name: known.map_or(named, |known| &known.name).to_owned(),
        is_known: known.is_some() || is_in_view,
    })
}

/// Nobody knows a node by this, as far as can be said.
fn unknown(node: &Node) -> ApiError {
    let shown: String = node.name.chars().take(100).collect();
    let why = if is_node_id(&node.id) {
        "nobody knows of it, and it was not retired"
    } else {
        "nobody knows it by this name. Nodes forget the name of one that went down ten minutes ago, or stopped in order: \
         forget it by its id"
    };
    let told = format!("node {shown} does not exist: {why}");
    ApiError::new(StatusCode::NOT_FOUND, 404, "Not Found", told)
}

/// Whether the control plane had heard of a node, which followed its change log, was admitted with a token or was retired
/// before; none where it does not say so of all.
fn was_known(follows: Option<bool>, looked_up: &Result<LookedUp, String>) -> Option<bool> {
    match (follows, looked_up) {
        (Some(true), _) | (_, Ok(LookedUp::Retired)) => Some(true),
        (_, Ok(LookedUp::Admitted(times))) if *times > 0 => Some(true),
        (Some(false), Ok(LookedUp::Admitted(_))) => Some(false),
        (None, _) | (_, Err(_)) => None,
    }
}

/// Writes down that nobody renews a node's certificate any more, where it is down by the `judging` of whoever knows.
async fn retire(
    services: &Services,
    id: &str,
    judging: impl Future<Output = Result<bool, String>>,
) -> Result<(), String> {
    if !is_node_id(id) {
        return Err("it is no node's id, so no certificate is of it".to_owned());
    }
    // Looked up before: one that is admitted while it is judged is not retired by what was judged.
    let looked_up = services.orders.looked_up(id).await;
    if !judging.await? {
        return Err(
            "it is there, or may be, and stays a member: forget it once it is down".to_owned(),
        );
    }
    let retired = match looked_up {
        Ok(LookedUp::Retired) => Ok(()),
        Ok(LookedUp::Admitted(times)) => services.orders.retire(id, times).await,
        Err(why) => Err(why),
    };
    retired.map_err(|why| {
        format!(
            "that is not known to be written down, for {why}: forget it again, or destroy cluster/ in its data directory"
        )
    })
}

/// Says whether nobody renews the node's certificate from now on, and else why.
fn put_retired(shown: &mut Value, retired: Result<(), String>) {
    members::put(shown, "retired", retired.is_ok());
    if let Err(why) = retired {
        let id = shown.get("id").and_then(Value::as_str);
        tracing::warn!(
            id,
            why,
            "a node is forgotten, and its certificate may be renewed yet"
        );
        members::put(shown, "renewedYet", why);
    }
}

// === impl Node ===

impl Node {
    /// What would be given up with it, as whoever leads says: nothing, of one that is down and of which nothing is lost. The
    /// inner error is of nobody who says so.
    async fn gives_up(&self, services: &Services) -> Result<Result<GivesUp, NotAgreed>, ApiError> {
        match services.orders.gives_up(&self.id).await {
            Ok(gives_up) => Ok(Ok(gives_up)),
            Err(nobody @ NotAgreed::NobodyAnswers(_)) => Ok(Err(nobody)),
            Err(NotAgreed::NotGivenUp(NotGivenUp::NothingLost)) => {
                self.must_be_known(services).await?;
                Ok(Ok(GivesUp::default()))
            }
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// Others forget who is down after a while: whoever followed the change log, or was retired, is known to the control
    /// plane.
    async fn must_be_known(&self, services: &Services) -> Result<(), ApiError> {
        if self.is_known {
            return Ok(());
        }
        if !is_node_id(&self.id) {
            return Err(unknown(self));
        }
        let of_it = |one: &FollowerAt| one.name.ends_with(&format!("@{}", self.id));
        let follows = match followers::standing(services).await {
            Ok(Standing::At { followers, .. }) => Some(followers.iter().any(of_it)),
            Ok(Standing::Unavailable) | Err(_) => None,
        };
        let looked_up = services.orders.looked_up(&self.id).await;
        match was_known(follows, &looked_up) {
            Some(true) => Ok(()),
            Some(false) => Err(unknown(self)),
            None => {
                let told = "it is not known here, and nobody of the control plane says whether it was: nothing was done";
                Err(members::not_agreed(&NotAgreed::Refused(told.to_owned())))
            }
        }
    }

    async fn give_up(&self, services: &Services) -> Result<Value, ApiError> {
        let gives_up = match self.gives_up(services).await? {
            Ok(gives_up) => gives_up,
            Err(nobody) => return self.give_up_founder(services, Some(&nobody)).await,
        };
        let mut is_known_here = true;
        if !gives_up.shards.is_empty() {
            // It is judged once more when it is there.
            match services.orders.forget(&self.id).await {
                Ok(is_known) => is_known_here = is_known,
                // It was given up meanwhile, with another that held it.
                Err(NotAgreed::NotGivenUp(NotGivenUp::NothingLost)) => {}
                Err(error) => return Err(self.refused(&error)),
            }
        }
        let mut shown = self.show(services, Some(&gives_up));
        members::put(&mut shown, "knownHere", is_known_here);
        let judging = async {
            let judged = services.orders.is_down(&self.id).await;
            judged.map_err(|error| {
                format!("whether it is down is not known, {error}: forget it again")
            })
        };
        put_retired(&mut shown, retire(services, &self.id, judging).await);
        Ok(shown)
    }

    async fn look_at_founder(
        &self,
        services: &Services,
        nobody: Option<&NotAgreed>,
    ) -> Result<Value, ApiError> {
        let mut asked = &self.id;
        let mut said = services.orders.founder(asked).await;
        if said == Ok(None) && self.name != self.id {
            // Of those that vote together the founder's name is known, which its successor has as well.
            asked = &self.name;
            said = services.orders.founder(asked).await;
        }
        let founder = self.is_founder(said, nobody)?;
        Ok(self.as_founder(founder, asked).show(services, None))
    }

    async fn give_up_founder(
        &self,
        services: &Services,
        nobody: Option<&NotAgreed>,
    ) -> Result<Value, ApiError> {
        let mut asked = &self.id;
        let mut said = services.orders.give_up_founder(asked).await;
        if said == Ok(None) && self.name != self.id {
            asked = &self.name;
            said = services.orders.give_up_founder(asked).await;
        }
        let founder = self.as_founder(self.is_founder(said, nobody)?, asked);
        let mut shown = founder.show(services, None);
        members::put(&mut shown, "knownHere", true);
        // Nobody leads who could judge.
        let judging = async {
            let nodes = members::nodes(&services.cluster);
            let is_there = |known: &members::Known| known.id == founder.id && known.is_connected();
            Ok(!nodes.iter().any(is_there))
        };
        put_retired(&mut shown, retire(services, &founder.id, judging).await);
        Ok(shown)
    }

    /// The founder, which was `asked` for by this name or id: a name is its successor's as well. A node of the control plane
    /// of the version before does not say the id.
    fn as_founder(&self, founder: String, asked: &str) -> Self {
        let id = if founder.is_empty() {
            asked.to_owned()
        } else {
            founder
        };
        Self { id, ..self.clone() }
    }

    /// Refuses any but the founder, where `nobody` answers by why.
    fn is_founder(
        &self,
        said: Result<Option<String>, NotAgreed>,
        nobody: Option<&NotAgreed>,
    ) -> Result<String, ApiError> {
        match (said, nobody) {
            (Ok(Some(founder)), _) => Ok(founder),
            (Err(there @ NotAgreed::FounderIsThere(_)), _) => Err(self.refused(&there)),
            (_, Some(nobody)) => Err(self.refused(nobody)),
            (Err(error), None) => Err(self.refused(&error)),
            (Ok(None), None) => Err(ApiError::conflict(
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
        let refused = node("a").refused(&NotAgreed::NotGivenUp(NotGivenUp::MayBeThere));
        assert_eq!(refused.status().as_u16(), 409);
        let told = refused.description();
        assert!(told.contains("tm-a is not known to be down"), "{told}");
    }

    #[test]
    fn whoever_forgets_a_node_by_a_name_that_nobody_knows_hears_that_its_id_may_be_known() {
        let by_name = unknown(&node("tm-a"));
        assert_eq!(by_name.status().as_u16(), 404);
        let told = by_name.description();
        assert!(told.starts_with("node tm-a does not exist: "), "{told}");
        assert!(told.ends_with("forget it by its id"), "{told}");
        let by_id = unknown(&node("0f8fad5b-d9cb-469f-a165-70867728950e"));
        let told = by_id.description();
        assert!(!told.contains("its id") && told.contains("not retired"));
    }

    #[test]
    fn a_node_that_was_admitted_or_retired_is_known_though_everybody_else_has_forgotten_it() {
        let retired = Ok(LookedUp::Retired);
        let admitted = Ok(LookedUp::Admitted(1));
        let never = Ok(LookedUp::Admitted(0));
        let unsaid = Err("no answer".to_owned());
        for looked_up in [&retired, &admitted, &never, &unsaid] {
            assert_eq!(was_known(Some(true), looked_up), Some(true));
        }
        for follows in [Some(false), None] {
            assert_eq!(was_known(follows, &retired), Some(true));
            assert_eq!(was_known(follows, &admitted), Some(true));
            assert_eq!(was_known(follows, &unsaid), None);
        }
        assert_eq!(was_known(Some(false), &never), Some(false));
        assert_eq!(was_known(None, &never), None);
    }

    #[test]
    fn a_founder_that_is_given_up_by_its_name_is_retired_by_its_own_id() {
        // The name is its successor's too, or nobody's that is known here.
        for asked in [node("successor"), node("tm-a")] {
            let founder = asked.as_founder("founder".to_owned(), "tm-a");
            assert_eq!(
                (founder.id.as_str(), founder.name.as_str()),
                ("founder", "tm-a")
            );
            // A version before does not say it: then nobody is retired by a name.
            let founder = asked.as_founder(String::new(), "tm-a");
            assert!(founder.id == "tm-a" && !is_node_id(&founder.id));
        }
    }

    #[test]
    fn the_audit_log_says_what_was_given_up_and_whether_the_node_is_retired() {
        let of = |founder: bool, count: u64, why: Option<&str>| {
            let mut done = json!({"founder": founder, "count": count});
            put_retired(&mut done, why.map_or(Ok(()), |why| Err(why.to_owned())));
            outcome(&Ok(done), false)
        };
        assert_eq!(of(false, 3, None), "agreed; retired");
        assert_eq!(of(false, 3, Some("no")), "agreed; not retired: no");
        assert_eq!(
            of(false, 0, None),
            "agreed: nothing of it was lost; retired"
        );
        let founder = "agreed: it founded the view register and never runs again; retired";
        assert_eq!(of(true, 0, None), founder);
    }

    fn node(id: &str) -> Node {
        Node {
            id: id.to_owned(),
            name: "tm-a".to_owned(),
            is_known: true,
        }
    }

    #[test]
    fn nobody_is_said_to_be_the_founder_that_is_not_known_to_be() {
        let node = node("a");
        let nobody = NotAgreed::NobodyAnswers("none".to_owned());
        let there = || Err(NotAgreed::FounderIsThere("it renewed its hold".to_owned()));
        let unknown = || Err(NotAgreed::Refused("no answer".to_owned()));
        let status = |said, nobody| {
            let refused = node.is_founder(said, nobody).unwrap_err();
            (refused.status().as_u16(), refused.description().to_owned())
        };
        let founder = node.is_founder(Ok(Some("b".to_owned())), Some(&nobody));
        assert_eq!(founder.ok().as_deref(), Some("b"));
        for nobody in [None, Some(&nobody)] {
            let (status, told) = status(there(), nobody);
            assert!(status == 409 && told.contains("renewed its hold"), "{told}");
        }
        assert_eq!(status(Ok(None), None).0, 409);
        assert_eq!(status(unknown(), None).0, 503);
        assert_eq!(status(Ok(None), Some(&nobody)).0, 503);
    }
}
