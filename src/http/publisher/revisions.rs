//! `/apis/{apiId}/revisions`: list, create, get, delete, restore.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::publisher::RevisionDeployments;

use super::deployments::deployment_value;
use super::{apis, edition, json as answer, publisher, required, timestamp};
use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/revisions",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_create",
        "apim:api_manage",
        "apim:api_publish",
        "apim:api_import_export",
    ]),
    BodyKind::Empty,
)
.query(&["query"]);
pub(super) static CREATE: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/{apiId}/revisions",
    Access::Scopes(&[
        "apim:api_create",
        "apim:api_manage",
        "apim:api_publish",
        "apim:api_import_export",
    ]),
    BodyKind::Json,
)
.if_match();
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/revisions/{revisionId}",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_create",
        "apim:api_manage",
        "apim:api_publish",
    ]),
    BodyKind::Empty,
);
pub(super) static DELETE: Operation = Operation::new(
    "DELETE",
    "/api/am/publisher/v4/apis/{apiId}/revisions/{revisionId}",
    Access::Scopes(&[
        "apim:api_create",
        "apim:api_manage",
        "apim:api_publish",
        "apim:api_import_export",
    ]),
    BodyKind::Empty,
)
.if_match();
pub(super) static RESTORE: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/{apiId}/restore-revision",
    Access::Scopes(&["apim:api_create", "apim:api_manage", "apim:api_publish"]),
    BodyKind::Empty,
)
.query(&["revisionId"])
.if_match();

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = CREATE.mount(router, create);
    let router = GET.mount(router, get);
    let router = DELETE.mount(router, delete);
    RESTORE.mount(router, restore)
}

#[derive(Deserialize)]
struct ListQuery {
    query: Option<String>,
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let mut revisions = publisher(&services)?.revisions(&caller.tenant, &id).await?;
    match asked.query.as_deref() {
        None | Some("") => {}
        Some("deployed:true") => revisions.retain(|one| !one.deployments.is_empty()),
        Some("deployed:false") => revisions.retain(|one| one.deployments.is_empty()),
        Some(_) => {
            let problem = "must be deployed:true or deployed:false";
            return Err(ApiError::bad_field("query", problem));
        }
    }
    Ok(answer(list_value(&revisions)))
}

async fn create(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let mut fields = Fields::optional(request).await?;
    let description = fields.text("description", 255)?.unwrap_or_default();
    let edition = edition(&caller, &id, &headers)?;
    let revision = publisher(&services)?.create_revision(edition, description);
    let revision = RevisionDeployments {
        revision: revision.await?,
        deployments: Vec::new(),
    };
    let body = axum::Json(revision_value(&revision));
    Ok((StatusCode::CREATED, body).into_response())
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path((id, revision_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let revisions = publisher(&services)?.revisions(&caller.tenant, &id).await?;
    let found = revisions.iter().find(|one| one.revision.id == revision_id);
    let found = found.ok_or_else(|| ApiError::not_found("revision", &revision_id))?;
    Ok(answer(revision_value(found)))
}

async fn delete(
    State(services): State<Services>,
    caller: Caller,
    Path((id, revision_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let edition = edition(&caller, &id, &headers)?;
    let publisher = publisher(&services)?;
    publisher.delete_revision(edition, revision_id).await?;
    let left = publisher.revisions(&caller.tenant, &id).await?;
    Ok(answer(list_value(&left)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestoreQuery {
    revision_id: Option<String>,
}

async fn restore(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<RestoreQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let revision_id = required("revisionId", asked.revision_id.as_deref())?.to_owned();
    let edition = edition(&caller, &id, &headers)?;
    let api = publisher(&services)?.restore_revision(edition, revision_id);
    Ok(apis::created(&api.await?))
}

fn list_value(revisions: &[RevisionDeployments]) -> Value {
    let list: Vec<Value> = revisions.iter().map(revision_value).collect();
    json!({ "count": list.len(), "list": list })
}

fn revision_value(one: &RevisionDeployments) -> Value {
    let revision = &one.revision;
    let deployments = one.deployments.iter().map(deployment_value);
    json!({
        "id": revision.id,
        "displayName": format!("Revision {}", revision.number),
        "description": revision.description,
        "createdTime": timestamp(revision.created_at_ms),
        "apiInfo": { "id": revision.api_id },
        "deploymentInfo": deployments.collect::<Vec<_>>(),
    })
}
