//! `/apis`: list, create, get, update, delete, validate, copy.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::publisher::{
    ApiRow, ApiSearch, Edition, NewApi, PublisherError, PublisherHandle, Saved, SortBy, THE_API,
    Wanted,
};
use domain::api::Api;

use super::{
    api_document, author, edition, json as answer, modified, publisher, publisher_part, query_flag,
    required, tagged, with_location,
};
use crate::auth::Caller;
use crate::body::{API_LIMIT, Fields};
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::{Page, listed_at};
use crate::query::Query;
use crate::search;
use crate::services::Services;

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_manage",
        "apim:api_import_export",
        "apim:api_list_view",
    ]),
    BodyKind::Empty,
)
.query(&["query", "sortBy", "sortOrder", "limit", "offset"]);
/// Of an API; policies that are named are refused all the same.
const REQUIRED: &[&str] = &[
    "context",
    "name",
    "version",
    "scopes[].scope",
    "scopes[].scope.name",
    "monetization.enabled",
    "organizationPolicies[].organizationID",
    "mediationPolicies[].name",
    "apiPolicies.request[].policyName",
    "apiPolicies.response[].policyName",
    "apiPolicies.fault[].policyName",
    "operations[].operationPolicies.request[].policyName",
    "operations[].operationPolicies.response[].policyName",
    "operations[].operationPolicies.fault[].policyName",
];

pub(super) static CREATE: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis",
    Access::Scopes(&["apim:api_create", "apim:api_manage"]),
    BodyKind::Json,
)
.json_limit(API_LIMIT)
.query(&["openAPIVersion"])
.unique(&["name", "version", "context"])
.required(REQUIRED);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_manage",
        "apim:api_import_export",
        "apim:api_product_import_export",
    ]),
    BodyKind::Empty,
);
pub(super) static UPDATE: Operation = Operation::new(
    "PUT",
    "/api/am/publisher/v4/apis/{apiId}",
    Access::Scopes(&["apim:api_create", "apim:api_manage", "apim:api_publish"]),
    BodyKind::Json,
)
.json_limit(API_LIMIT)
.if_match()
.required(REQUIRED);
pub(super) static DELETE: Operation = Operation::new(
    "DELETE",
    "/api/am/publisher/v4/apis/{apiId}",
    Access::Scopes(&[
        "apim:api_delete",
        "apim:api_manage",
        "apim:api_import_export",
    ]),
    BodyKind::Empty,
)
.if_match();
pub(super) static VALIDATE: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/validate",
    Access::Scopes(&["apim:api_create", "apim:api_manage"]),
    BodyKind::Empty,
)
.query(&["query"]);
pub(super) static COPY: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/copy-api",
    Access::Scopes(&["apim:api_create", "apim:api_manage"]),
    BodyKind::Empty,
)
.query(&["apiId", "newVersion", "defaultVersion", "serviceVersion"])
.if_match()
.unique(&["newVersion"]);

/// How often a publisher's change begins anew when others change the same API.
const PART_ATTEMPTS: u32 = 8;

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = CREATE.mount(router, create);
    let router = GET.mount(router, get);
    let router = UPDATE.mount(router, update);
    let router = DELETE.mount(router, delete);
    let router = VALIDATE.mount(router, validate);
    COPY.mount(router, copy)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    query: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    page: Page,
    Query(asked): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let found = search::read(asked.query.as_deref().unwrap_or_default())?;
    let order = search::order(asked.sort_by.as_deref(), asked.sort_order.as_deref())?;
    let (rows, total) = publisher(&services)?
        .list(&caller.tenant, &found, order, (page.limit, page.offset))
        .await?;
    let rows: Vec<Value> = rows.iter().map(info).collect();
    let parameters = [
        ("query", asked.query.as_deref()),
        ("sortBy", asked.sort_by.as_deref()),
        ("sortOrder", asked.sort_order.as_deref()),
    ];
    let path = listed_at("/apis", &parameters);
    Ok(answer(page.answer(&rows, total, &path)))
}

#[derive(Deserialize)]
struct CreateQuery {
    #[serde(rename = "openAPIVersion")]
    open_api_version: Option<String>,
}

async fn create(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<CreateQuery>,
    fields: Fields,
) -> Result<Response, ApiError> {
    // The definition that is made for an API without one is OpenAPI 3: whoever asks for another gets none.
    only("openAPIVersion", asked.open_api_version.as_deref(), "v3")?;
    let (mut api, has_operations) = api_document::read(fields, &caller)?;
    if !has_operations {
        api.operations = api_document::catch_all();
    }
    let new = NewApi {
        api,
        definition: None,
    };
    let saved = publisher(&services)?.create(author(&caller), new).await?;
    let response = created(&saved.value);
    Ok(told(response, saved.applied.as_ref()))
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let api = publisher(&services)?.get(&caller.tenant, &id).await?;
    Ok(whole(StatusCode::OK, &api))
}

async fn update(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let edition = edition(&caller, &id, &headers)?;
    let publisher = publisher(&services)?;
    let saved = if publisher_part::is_all_of(&caller) {
        update_part(publisher, &caller, edition, fields).await?
    } else {
        let (api, has_operations) = api_document::read(fields, &caller)?;
        let wanted = Wanted {
            api,
            has_operations,
        };
        publisher.update(edition, wanted).await?
    };
    let response = located(whole(StatusCode::OK, &saved.value), &saved.value);
    Ok(told(response, saved.applied.as_ref()))
}

/// Changes what belongs to publishers, of the API as it is at that moment.
async fn update_part(
    publisher: &PublisherHandle,
    caller: &Caller,
    edition: Edition,
    fields: Fields,
) -> Result<Saved<Api>, ApiError> {
    for _ in 0..PART_ATTEMPTS {
        let current = publisher.get(&caller.tenant, &edition.api_id).await?;
        let merged = publisher_part::merged(api_document::write(&current), fields.clone());
        let (mut api, _) = api_document::read(merged, caller)?;
        api.provider.clone_from(&current.provider);
        let mut exact = edition.clone();
        if exact.expected.is_empty() {
            exact.expected.push(current.row_version);
        }
        let wanted = Wanted {
            api,
            has_operations: false,
        };
        match publisher.update(exact, wanted).await {
            // Another change came in between; who named no version gets theirs on top of it.
            Err(PublisherError::Stale) if edition.expected.is_empty() => {}
            outcome => return Ok(outcome?),
        }
    }
    let problem = "the API is being changed by others, try again";
    Err(ApiError::conflicts(THE_API, problem))
}

async fn delete(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let edition = edition(&caller, &id, &headers)?;
    let saved = publisher(&services)?.delete(edition).await?;
    Ok(told(StatusCode::OK.into_response(), saved.applied.as_ref()))
}

#[derive(Deserialize)]
struct ValidateQuery {
    query: Option<String>,
}

/// 200 when an API with this name or context exists, 404 when none does.
async fn validate(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<ValidateQuery>,
) -> Result<Response, ApiError> {
    let query = required("query", asked.query.as_deref())?;
    let exact = |text: &str| Some(format!("\"{}\"", text.trim_matches('"')));
    let search = match query.split_once(':') {
        Some(("name", name)) => ApiSearch {
            name: exact(name),
            ..ApiSearch::default()
        },
        Some(("context", context)) => ApiSearch {
            context: exact(context),
            ..ApiSearch::default()
        },
        _ => ApiSearch {
            name: exact(query),
            ..ApiSearch::default()
        },
    };
    let order = (SortBy::default(), true);
    let publisher = publisher(&services)?;
    let (_, total) = publisher
        .list(&caller.tenant, &search, order, (1, 0))
        .await?;
    if total == 0 {
        return Err(ApiError::not_found("API", query));
    }
    Ok(StatusCode::OK.into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CopyQuery {
    api_id: Option<String>,
    new_version: Option<String>,
    default_version: Option<String>,
    service_version: Option<String>,
}

async fn copy(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<CopyQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api_id = required("apiId", asked.api_id.as_deref())?;
    let version = required("newVersion", asked.new_version.as_deref())?;
    let default = query_flag("defaultVersion", asked.default_version.as_deref())?;
    // There is no catalog of services whose version a copy could take.
    only("serviceVersion", asked.service_version.as_deref(), "")?;
    let edition = edition(&caller, api_id, &headers)?;
    let copied = publisher(&services)?.copy(edition, version.to_owned(), default);
    let saved = match copied.await {
        // The copy keeps all but its version, so a fault there is the parameter's.
        Err(PublisherError::Invalid(faults))
            if faults.iter().all(|fault| fault.field == "version") =>
        {
            let problem = faults.first().map(|fault| fault.problem.clone());
            return Err(ApiError::bad_field(
                "newVersion",
                problem.unwrap_or_default(),
            ));
        }
        Err(PublisherError::Conflict { reason, .. }) => {
            return Err(ApiError::conflicts(COPY.unique, reason));
        }
        outcome => outcome?,
    };
    let response = created(&saved.value);
    Ok(told(response, saved.applied.as_ref()))
}

/// Refuses a parameter of the contract with a value that would have no effect here.
fn only(name: &str, value: Option<&str>, known: &str) -> Result<(), ApiError> {
    let value = value.unwrap_or_default();
    if value.is_empty() || value == known {
        return Ok(());
    }
    let problem = match known {
        "" => "is not supported: leave it out".to_owned(),
        known => format!("must be {known}, nothing else is supported"),
    };
    Err(ApiError::bad_field(name, problem))
}

/// 201 with the API, its address and its tag.
pub(super) fn created(api: &Api) -> Response {
    located(whole(StatusCode::CREATED, api), api)
}

/// The API with its tag and the moment of its last change.
fn whole(status: StatusCode, api: &Api) -> Response {
    let body = axum::Json(api_document::write(api));
    let response = tagged((status, body).into_response(), api.row_version);
    modified(response, api.updated_at_ms)
}

fn located(response: Response, api: &Api) -> Response {
    with_location(response, &format!("/api/am/publisher/v4/apis/{}", api.id))
}

fn info(row: &ApiRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "context": row.context,
        "version": row.version,
        "provider": row.provider,
        "type": row.kind,
        "lifeCycleStatus": row.state.as_str(),
        "workflowStatus": "APPROVED",
        "hasThumbnail": false,
        "createdTime": row.created_at_ms.to_string(),
        "updatedTime": row.updated_at_ms.to_string(),
        "gatewayVendor": "wso2",
        "advertiseOnly": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_takes_what_has_an_effect_and_no_other_value() {
        for (value, known, is_taken) in [
            (None, "v3", true),
            (Some(""), "v3", true),
            (Some("v3"), "v3", true),
            (Some("v2"), "v3", false),
            (Some(""), "", true),
            (Some("v1"), "", false),
        ] {
            assert_eq!(only("which", value, known).is_ok(), is_taken, "{value:?}");
        }
    }
}
