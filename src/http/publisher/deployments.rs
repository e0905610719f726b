//! Deploying and undeploying revisions, and what of an API is deployed.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::publisher::{DeploymentRow, PublisherHandle, Target};

use super::{edition, json as answer, publisher, query_flag, required, timestamp};
use crate::auth::Caller;
use crate::body::{self, Fields, JSON_LIMIT};
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/deployments",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_create",
        "apim:api_manage",
        "apim:api_publish",
    ]),
    BodyKind::Empty,
);
pub(super) static DEPLOY: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/{apiId}/deploy-revision",
    Access::Scopes(&["apim:api_create", "apim:api_manage", "apim:api_publish"]),
    BodyKind::Json,
)
.query(&["revisionId"])
.if_match()
.required(&["[].name"]);
pub(super) static UNDEPLOY: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/{apiId}/undeploy-revision",
    Access::Scopes(&[
        "apim:api_create",
        "apim:api_manage",
        "apim:api_publish",
        "apim:api_import_export",
    ]),
    BodyKind::Json,
)
.query(&["revisionId", "revisionNumber", "allEnvironments"])
.if_match()
.required(&["[].name"]);

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = DEPLOY.mount(router, deploy);
    UNDEPLOY.mount(router, undeploy)
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let revisions = publisher(&services)?.revisions(&caller.tenant, &id).await?;
    let deployed = revisions.iter().flat_map(|one| &one.deployments);
    let list: Vec<Value> = deployed.map(deployment_value).collect();
    Ok(answer(json!({ "count": list.len(), "list": list })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeployQuery {
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UndeployQuery {
    revision_id: Option<String>,
    revision_number: Option<String>,
    all_environments: Option<String>,
}

async fn deploy(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<DeployQuery>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let targets = targets(request).await?;
    let revision_id = required("revisionId", asked.revision_id.as_deref())?.to_owned();
    if targets.is_empty() {
        let problem = "the body must hold at least one environment";
        return Err(ApiError::bad_field("name", problem));
    }
    let edition = edition(&caller, &id, &headers)?;
    let saved = publisher(&services)?.deploy(edition, revision_id, targets);
    let saved = saved.await?;
    let list: Vec<Value> = saved.value.iter().map(deployment_value).collect();
    Ok(told(answer(Value::Array(list)), saved.applied.as_ref()))
}

async fn undeploy(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<UndeployQuery>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let targets = targets(request).await?;
    let everywhere = query_flag("allEnvironments", asked.all_environments.as_deref())?;
    let edition = edition(&caller, &id, &headers)?;
    let publisher = publisher(&services)?;
    let revision = revision(publisher, &caller.tenant, &id, &asked).await?;
    if revision.is_none() && !everywhere {
        return Err(ApiError::bad_field("revisionId", "is required"));
    }
    let named = (!everywhere).then_some(targets);
    if named.as_ref().is_some_and(Vec::is_empty) {
        let problem = "name the environments in the body, or set allEnvironments";
        return Err(ApiError::bad_field("name", problem));
    }
    let saved = publisher.undeploy(edition, revision, named).await?;
    let list: Vec<Value> = saved.value.iter().map(deployment_value).collect();
    let response = (StatusCode::CREATED, axum::Json(list)).into_response();
    Ok(told(response, saved.applied.as_ref()))
}

/// The revision that the query names, by id or by number.
async fn revision(
    publisher: &PublisherHandle,
    tenant: &str,
    api_id: &str,
    asked: &UndeployQuery,
) -> Result<Option<String>, ApiError> {
    let number = asked.revision_number.as_deref();
    let number = number.filter(|text| !text.is_empty()).map(|text| {
        let problem = "must be the number of a revision";
        let wanted = text.parse::<i64>();
        wanted.map_err(|_| ApiError::bad_field("revisionNumber", problem))
    });
    let wanted = number.transpose()?;
    if let Some(id) = asked.revision_id.as_deref().filter(|id| !id.is_empty()) {
        return Ok(Some(id.to_owned()));
    }
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let revisions = publisher.revisions(tenant, api_id).await?;
    let found = revisions
        .into_iter()
        .find(|one| one.revision.number == wanted);
    let found = found.ok_or_else(|| ApiError::not_found("revision", &wanted.to_string()))?;
    Ok(Some(found.revision.id))
}

/// Reads a list of `APIRevisionDeployment`; an empty body is an empty list.
async fn targets(request: Request) -> Result<Vec<Target>, ApiError> {
    let is_json = body::is_json(request.headers());
    let bytes = body::read(request, JSON_LIMIT).await?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if !is_json {
        return Err(ApiError::unsupported_media("application/json"));
    }
    let list: Vec<Value> = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not a JSON list: {error}")))?;
    let targets = list.into_iter().enumerate().map(|(place, item)| {
        let Value::Object(members) = item else {
            return Err(ApiError::bad_field(
                &format!("[{place}]"),
                "must be an object",
            ));
        };
        let mut fields = Fields::from_map(members);
        Ok(Target {
            environment: fields.required_text("name", 255)?,
            vhost: fields.text("vhost", 255)?.filter(|vhost| !vhost.is_empty()),
            display_on_devportal: fields.flag("displayOnDevportal")?.unwrap_or(true),
        })
    });
    targets.collect()
}

/// A deployment as the contract's `APIRevisionDeployment`.
pub(super) fn deployment_value(deployment: &DeploymentRow) -> Value {
    let deployed = timestamp(deployment.deployed_at_ms);
    json!({
        "revisionUuid": deployment.revision_id,
        "name": deployment.environment,
        "vhost": deployment.vhost,
        "status": "APPROVED",
        "displayOnDevportal": deployment.display_on_devportal,
        "deployedTime": deployed,
        "successDeployedTime": deployed,
    })
}
