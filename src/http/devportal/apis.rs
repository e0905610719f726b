//! `/apis`: what the portal shows, to anybody who looks.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use actors::devportal::{ApiRow, DeploymentRow};
use domain::api::{Api, ApiScope, SUPER_TENANT};
use domain::policy::{Policy, PolicyLevel};

use super::least_rate::LeastRate;
use super::policies::write as write_policy;
use super::{portal, time};
use crate::auth::MaybeCaller;
use crate::document::{present, seen};
use crate::entity_tag::{KNOWN, modified, tagged_as_seen, unless_known};
use crate::error::ApiError;
use crate::failure::answer;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::{Page, listed_at};
use crate::plan::tier_plan;
use crate::query::Query;
use crate::search;
use crate::services::{Ingress, Services};

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/apis",
    Access::Anybody,
    BodyKind::Empty,
)
.query(&["query", "limit", "offset"]);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/apis/{apiId}",
    Access::Anybody,
    BodyKind::Empty,
);
pub(super) static SWAGGER: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/apis/{apiId}/swagger",
    Access::Anybody,
    BodyKind::Empty,
)
.query(&["environmentName"]);
pub(super) static PLANS: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/apis/{apiId}/subscription-policies",
    Access::Anybody,
    BodyKind::Empty,
);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = GET.mount(router, get);
    let router = SWAGGER.mount(router, swagger);
    PLANS.mount(router, plans)
}

#[derive(Deserialize)]
pub(super) struct Searched {
    query: Option<String>,
}

pub(super) fn tenant(caller: MaybeCaller) -> String {
    caller
        .0
        .map_or_else(|| SUPER_TENANT.to_owned(), |caller| caller.tenant)
}

async fn list(
    State(services): State<Services>,
    caller: MaybeCaller,
    page: Page,
    Query(searched): Query<Searched>,
) -> Result<Response, ApiError> {
    let shown = (LIST.path, write_row as fn(&ApiRow) -> Value);
    find(&services, caller, page, &searched, shown).await
}

/// A page of the APIs that are searched for, each written as this list at `path` does.
pub(super) async fn find(
    services: &Services,
    caller: MaybeCaller,
    page: Page,
    Searched { query }: &Searched,
    (path, write): (&str, fn(&ApiRow) -> Value),
) -> Result<Response, ApiError> {
    let wanted = search::read(query.as_deref().unwrap_or_default())?;
    let span = (page.limit, page.offset);
    let found = portal(services)?.apis(&tenant(caller), wanted, span).await;
    let (rows, total) = found.map_err(answer)?;
    let list: Vec<_> = rows.iter().map(write).collect();
    let path = listed_at(path, &[("query", query.as_deref())]);
    Ok(seen(page.answer(&list, total, &path)))
}

async fn get(
    State(services): State<Services>,
    caller: MaybeCaller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (handle, tenant) = (portal(&services)?, tenant(caller));
    let api = handle.api(&tenant, &id).await.map_err(answer)?;
    let deployed = handle.deployments(&tenant, &id).await.map_err(answer)?;
    let plans = handle.policies(&tenant, PolicyLevel::Subscription).await;
    let plans = plans.map_err(answer)?;
    let document = write(&api, &plans, endpoints(&services.ingress, &api, &deployed));
    Ok(modified(seen(document), api.updated_at_ms))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    environment_name: Option<String>,
}

/// The description with the gateway's addresses in place of the backend's: of one environment, or
/// of all that it is deployed to.
async fn swagger(
    State(services): State<Services>,
    caller: MaybeCaller,
    Path(id): Path<String>,
    Query(shown): Query<Shown>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (handle, tenant) = (portal(&services)?, tenant(caller));
    let api = handle.api(&tenant, &id).await.map_err(answer)?;
    let mut deployed = handle.deployments(&tenant, &id).await.map_err(answer)?;
    deployed.retain(|at| at.display_on_devportal);
    if let Some(name) = shown.environment_name.filter(|name| !name.is_empty()) {
        deployed.retain(|at| at.environment == name);
        if deployed.is_empty() {
            return Err(ApiError::not_found("environment", &name));
        }
    }
    let urls = deployed
        .iter()
        .flat_map(|at| ["https", "http"].map(|scheme| url(&services.ingress, &api, at, scheme)));
    let urls = urls.flatten();
    let urls: Vec<String> = urls.collect();
    let blob = handle.definition_blob(&tenant, &id).await;
    let blob = blob.map_err(answer)?;
    // A blob never changes: with the addresses and the program that writes them it says what is
    // seen, before anything is read.
    let tag = format!("{blob} {} {urls:?}", env!("CARGO_PKG_VERSION"));
    let bare = tagged_as_seen(().into_response(), tag.as_bytes());
    let known = unless_known(&Method::GET, headers.get(KNOWN), bare);
    if known.status() == StatusCode::NOT_MODIFIED {
        return Ok(known);
    }
    let text = handle.definition(&tenant, &blob, urls).await;
    let text = text.map_err(answer)?;
    let changed_at_ms = deployed.iter().map(|at| at.deployed_at_ms);
    let changed_at_ms = changed_at_ms.fold(text.stored_at_ms(), i64::max);
    let kind = [(CONTENT_TYPE, "application/json")];
    // The body holds the text, and with it its room, until it is sent or its time is over.
    let response = (kind, Body::new(LeastRate::of(text))).into_response();
    Ok(modified(
        tagged_as_seen(response, tag.as_bytes()),
        changed_at_ms,
    ))
}

async fn plans(
    State(services): State<Services>,
    caller: MaybeCaller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (handle, tenant) = (portal(&services)?, tenant(caller));
    let api = handle.api(&tenant, &id).await.map_err(answer)?;
    let policies = handle.policies(&tenant, PolicyLevel::Subscription).await;
    let policies = policies.map_err(answer)?;
    let offered = policies
        .iter()
        .filter(|policy| api.policies.contains(&policy.name));
    Ok(seen(offered.map(write_policy).collect()))
}

/// Writes an API as lists show it (`APIInfo`).
pub(super) fn write_row(row: &ApiRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "context": row.full_context,
        "version": row.version,
        "type": row.kind,
        "createdTime": row.created_at_ms.to_string(),
        "provider": row.provider,
        "lifeCycleStatus": row.state.as_str(),
        "avgRating": "0.0",
        "throttlingPolicies": row.policies,
        "advertiseInfo": {"advertised": false},
        "isSubscriptionAvailable": row.state.takes_subscriptions(),
        "monetizationLabel": "FREE",
    })
}

/// Where the API is called, for each environment that it is deployed to and shown for.
fn endpoints(ingress: &Ingress, api: &Api, deployed: &[DeploymentRow]) -> Vec<Value> {
    let shown = deployed.iter().filter(|at| at.display_on_devportal);
    let of = |at: &DeploymentRow| {
        let url = |scheme: &str| url(ingress, api, at, scheme);
        json!({
            "environmentName": at.environment,
            "environmentDisplayName": at.environment,
            "environmentType": "hybrid",
            "URLs": present(json!({ "http": url("http"), "https": url("https") })),
        })
    };
    shown.map(of).collect()
}

/// Where the API is called in an environment, for a scheme that it and the gateways offer.
fn url(ingress: &Ingress, api: &Api, at: &DeploymentRow, scheme: &str) -> Option<String> {
    let offered = api.transports.iter().any(|transport| transport == scheme);
    offered.then(|| ingress.url(scheme, &at.vhost, &api.context_with_version()))?
}

/// Writes a scope (`ScopeInfo`).
pub(super) fn write_scope(scope: &ApiScope) -> Value {
    json!({
        "key": scope.name, "name": scope.display_name, "roles": scope.roles,
        "description": scope.description,
    })
}

/// The members that have no effect and that callers may know, as they were given.
fn told(api: &Api) -> Map<String, Value> {
    let extra: Value = serde_json::from_str(&api.extra).unwrap_or_default();
    let mut told = Map::new();
    for name in [
        "businessInformation",
        "categories",
        "monetization",
        "advertiseInfo",
        "gatewayVendor",
        "asyncTransportProtocols",
    ] {
        if let Some(value) = extra.get(name) {
            told.insert(name.to_owned(), value.clone());
        }
    }
    // Properties are the publisher's own unless they are for display.
    let shown = |one: &&Value| one.get("display") == Some(&Value::Bool(true));
    let list = extra.get("additionalProperties").and_then(Value::as_array);
    let list = list.into_iter().flatten().filter(shown);
    let mut properties: Vec<Value> = list.cloned().collect();
    let map = extra.get("additionalPropertiesMap");
    for (name, one) in map.and_then(Value::as_object).into_iter().flatten() {
        let is_new = |known: &Value| known.get("name").and_then(Value::as_str) != Some(name);
        if shown(&one) && properties.iter().all(is_new) {
            let value = one.get("value");
            properties.push(present(
                json!({ "name": name, "value": value, "display": true }),
            ));
        }
    }
    told.insert("additionalProperties".to_owned(), properties.into());
    told
}

/// A plan that an API offers, with what its document says of its price.
fn tier(name: &str, plans: &[Policy]) -> Value {
    let known = plans.iter().find(|plan| plan.name == name);
    json!({ "tierName": name, "tierPlan": known.map_or("FREE", tier_plan) })
}

fn write(api: &Api, plans: &[Policy], endpoints: Vec<Value>) -> Value {
    let context = api.context_with_version();
    let scopes = api.scopes.iter().map(write_scope);
    let operations = api.operations.iter().map(
        |operation| json!({"id": operation.id, "target": operation.target, "verb": operation.verb}),
    );
    let tiers = api.policies.iter().map(|name| tier(name, plans));
    let environments = endpoints.iter().map(|at| at["environmentName"].clone());
    let mut document = json!({
        "id": api.id,
        "name": api.name,
        "description": api.description,
        "context": context,
        "version": api.version,
        "provider": api.provider,
        "lifeCycleStatus": api.state.as_str(),
        "isDefaultVersion": api.is_default_version,
        "type": api.kind,
        "transport": api.transports,
        "operations": operations.collect::<Vec<_>>(),
        "authorizationHeader": api.authorization_header,
        "apiKeyHeader": api.api_key_header,
        "securityScheme": api.security_schemes,
        "tags": api.tags,
        "tiers": tiers.collect::<Vec<_>>(),
        "hasThumbnail": false,
        "environmentList": environments.collect::<Vec<_>>(),
        "endpointURLs": endpoints,
        "scopes": scopes.collect::<Vec<_>>(),
        "avgRating": "0.0",
        "subscriptions": 0,
        "isSubscriptionAvailable": api.state.takes_subscriptions() && !api.policies.is_empty(),
        "createdTime": time(api.created_at_ms),
        "lastUpdatedTime": time(api.updated_at_ms),
        "keyManagers": ["all"],
    });
    if let Some(members) = document.as_object_mut() {
        members.extend(told(api));
    }
    document
}
