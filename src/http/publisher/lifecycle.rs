//! The lifecycle of an API: change, state, history.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use actors::publisher::{LifecycleRow, Step};
use domain::lifecycle::{DEPRECATE_OLD_VERSIONS, LifecycleState, REQUIRE_RESUBSCRIPTION};

use super::{
    edition, json as answer, modified, publisher, required, tagged, timestamp, without_nulls,
};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

pub(super) static CHANGE: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/change-lifecycle",
    Access::Scopes(&[
        "apim:api_publish",
        "apim:api_manage",
        "apim:api_import_export",
    ]),
    BodyKind::Empty,
)
.query(&["action", "apiId", "lifecycleChecklist"])
.if_match();
pub(super) static STATE: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/lifecycle-state",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_publish",
        "apim:api_create",
        "apim:api_manage",
    ]),
    BodyKind::Empty,
);
pub(super) static HISTORY: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/lifecycle-history",
    Access::Scopes(&["apim:api_view", "apim:api_publish", "apim:api_manage"]),
    BodyKind::Empty,
);

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = CHANGE.mount(router, change);
    let router = STATE.mount(router, state);
    HISTORY.mount(router, history)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeQuery {
    action: Option<String>,
    api_id: Option<String>,
    lifecycle_checklist: Option<String>,
}

async fn change(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<ChangeQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let action = required("action", asked.action.as_deref())?;
    let api_id = required("apiId", asked.api_id.as_deref())?;
    let checklist = asked.lifecycle_checklist.as_deref().unwrap_or_default();
    let step = Step {
        action: action.to_owned(),
        deprecate_old_versions: checked(checklist, DEPRECATE_OLD_VERSIONS),
        require_resubscription: checked(checklist, REQUIRE_RESUBSCRIPTION),
    };
    check_items(checklist)?;
    let edition = edition(&caller, api_id, &headers)?;
    let saved = publisher(&services)?
        .change_lifecycle(edition, step)
        .await?;
    let body = json!({
        "workflowStatus": "APPROVED",
        "lifecycleState": state_value(saved.value.state),
    });
    let response = tagged(answer(body), saved.value.row_version);
    Ok(told(response, saved.applied.as_ref()))
}

async fn state(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = publisher(&services)?.row(&caller.tenant, &id).await?;
    let response = tagged(answer(state_value(row.state)), row.row_version);
    Ok(modified(response, row.updated_at_ms))
}

async fn history(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (row, steps) = publisher(&services)?.history(&caller.tenant, &id).await?;
    let steps: Vec<Value> = steps.iter().map(step_value).collect();
    let body = json!({ "count": steps.len(), "list": steps });
    let response = tagged(answer(body), row.row_version);
    Ok(modified(response, row.updated_at_ms))
}

/// Whether `name:true` stands in a checklist of items parted by commas.
fn checked(checklist: &str, name: &str) -> bool {
    items(checklist).any(|(item, value)| item == name && value == "true")
}

fn items(checklist: &str) -> impl Iterator<Item = (&str, &str)> {
    let items = checklist.split(',').filter(|item| !item.trim().is_empty());
    items.map(|item| {
        let (name, value) = item.rsplit_once(':').unwrap_or((item, ""));
        (name.trim(), value.trim())
    })
}

fn check_items(checklist: &str) -> Result<(), ApiError> {
    for (name, value) in items(checklist) {
        let known = name == DEPRECATE_OLD_VERSIONS || name == REQUIRE_RESUBSCRIPTION;
        if !known || !matches!(value, "true" | "false") {
            let problem = format!("{name}:{value} is none of its items with true or false");
            return Err(ApiError::bad_field("lifecycleChecklist", problem));
        }
    }
    Ok(())
}

fn state_value(state: LifecycleState) -> Value {
    let checklist = state.checklist().iter();
    let transitions = state.transitions().iter();
    json!({
        "state": state.title(),
        "checkItems": checklist
            .map(|name| json!({ "name": name, "value": false, "requiredStates": [] }))
            .collect::<Vec<_>>(),
        "availableTransitions": transitions
            .map(|transition| json!({
                "event": transition.event,
                "targetState": transition.target.title(),
            }))
            .collect::<Vec<_>>(),
    })
}

fn step_value(step: &LifecycleRow) -> Value {
    without_nulls(json!({
        "previousState": step.previous.map(LifecycleState::as_str),
        "postState": step.post.as_str(),
        "user": step.changed_by,
        "updatedTime": timestamp(step.changed_at_ms),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checklist_is_read_item_by_item() {
        let list = format!("{DEPRECATE_OLD_VERSIONS}:true,{REQUIRE_RESUBSCRIPTION}:false");
        assert!(checked(&list, DEPRECATE_OLD_VERSIONS));
        assert!(!checked(&list, REQUIRE_RESUBSCRIPTION));
        assert!(check_items(&list).is_ok() && check_items("").is_ok());
        assert!(check_items("Bake a cake:true").is_err());
    }
}
