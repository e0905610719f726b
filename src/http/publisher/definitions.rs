//! Definitions: import, validate, get, put. The uploaded bytes are kept and given back as they came.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::publisher::{DefinitionDocument, NewApi};
use domain::api::ApiScope;
use domain::api::add_scopes;
use domain::openapi::{Definition, DefinitionError, ValidationReport};

use super::fault::of_part;
use super::form::Form;
use super::{
    api_document, apis, author, edition, json as answer, modified, publisher, query_flag, tagged,
    without_nulls,
};
use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

pub(super) static IMPORT: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/import-openapi",
    Access::Scopes(&["apim:api_create", "apim:api_manage"]),
    BodyKind::Multipart,
)
.unique(&["name", "version", "context"])
.required(&["file", "additionalProperties.context"]);
pub(super) static VALIDATE: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/apis/validate-openapi",
    Access::Scopes(&["apim:api_create", "apim:api_manage"]),
    BodyKind::Multipart,
)
.query(&["returnContent"])
.required(&["file"]);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/swagger",
    Access::Scopes(&[
        "apim:api_view",
        "apim:api_manage",
        "apim:api_definition_view",
    ]),
    BodyKind::Empty,
);
pub(super) static PUT: Operation = Operation::new(
    "PUT",
    "/api/am/publisher/v4/apis/{apiId}/swagger",
    Access::Scopes(&["apim:api_create", "apim:api_manage"]),
    BodyKind::Multipart,
)
.if_match()
.required(&["apiDefinition"]);

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = IMPORT.mount(router, import);
    let router = VALIDATE.mount(router, validate);
    let router = GET.mount(router, get);
    PUT.mount(router, put)
}

async fn import(
    State(services): State<Services>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let mut form = Form::read(request).await?;
    let (part, bytes) = form.definition(["file", "inlineAPIDefinition"])?;
    let publisher = publisher(&services)?;
    let read = publisher.read_definition(&caller.tenant, bytes).await;
    let (definition, placed) = read.map_err(of_part(&part))?;
    let fields = form.properties.take();
    let mut fields = fields.unwrap_or_else(|| Fields::from_map(serde_json::Map::new()));
    for (member, value) in [
        ("name", &definition.title),
        ("version", &definition.api_version),
    ] {
        fields.put_missing(member, Value::from(value.as_str()));
    }
    if let Some(description) = &definition.description {
        fields.put_missing("description", Value::from(description.as_str()));
    }
    let (mut api, has_operations) = api_document::read(fields, &caller)?;
    if has_operations {
        let problem = "are those of the definition, leave them out of additionalProperties";
        return Err(ApiError::bad_field("operations", problem));
    }
    api.operations = definition.operations.iter().map(Into::into).collect();
    add_scopes(&mut api.scopes, &scopes(&definition));
    let new = NewApi {
        api,
        definition: Some(placed),
    };
    let saved = publisher.create(author(&caller), new).await?;
    let response = apis::created(&saved.value);
    Ok(told(response, saved.applied.as_ref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValidateQuery {
    return_content: Option<String>,
}

async fn validate(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<ValidateQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let content = query_flag("returnContent", asked.return_content.as_deref())?;
    let (_, bytes) = Form::read(request)
        .await?
        .definition(["file", "inlineAPIDefinition"])?;
    let text = content.then(|| String::from_utf8_lossy(&bytes).into_owned());
    let report = publisher(&services)?.validate_definition(&caller.tenant, bytes);
    let report = report.await?;
    let text = text.filter(|_| report.valid);
    Ok(answer(report_value(&report, text)))
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = publisher(&services)?.definition(&caller.tenant, &id);
    let (row, definition) = found.await?;
    let response = tagged(content(definition), row.row_version);
    Ok(modified(response, row.updated_at_ms))
}

async fn put(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let edition = edition(&caller, &id, &headers)?;
    let (part, bytes) = Form::read(request)
        .await?
        .definition(["apiDefinition", "file"])?;
    let publisher = publisher(&services)?;
    publisher.row(&caller.tenant, &id).await?;
    let read = publisher.read_definition(&caller.tenant, bytes).await;
    let (definition, placed) = read.map_err(of_part(&part))?;
    let document = placed.document().clone();
    let scopes = scopes(&definition);
    let saved = publisher
        .save_definition(edition, placed, definition.operations, scopes)
        .await?;
    let response = tagged(content(document), saved.value.row_version);
    let response = modified(response, saved.value.updated_at_ms);
    Ok(told(response, saved.applied.as_ref()))
}

fn content(definition: DefinitionDocument) -> Response {
    let mut response = definition.bytes.into_response();
    if let Ok(value) = HeaderValue::try_from(definition.media_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// The scopes that the definition declares, and those that its operations only name.
fn scopes(definition: &Definition) -> Vec<ApiScope> {
    let mut scopes: Vec<ApiScope> = definition.scopes.iter().map(Into::into).collect();
    let mut known: std::collections::HashSet<String> =
        scopes.iter().map(|scope| scope.name.clone()).collect();
    for name in definition.operations.iter().flat_map(|one| &one.scopes) {
        if known.insert(name.clone()) {
            scopes.push(ApiScope {
                name: name.clone(),
                display_name: name.clone(),
                ..ApiScope::default()
            });
        }
    }
    scopes
}

fn report_value(report: &ValidationReport, content: Option<String>) -> Value {
    let error = |fault: &DefinitionError| {
        json!({
            "code": "900754",
            "message": fault.message,
            "description": fault.to_string(),
        })
    };
    let errors: Vec<Value> = report.errors.iter().map(error).collect();
    let info = report.info.as_ref().filter(|_| report.valid);
    let info = info.map(|info| {
        without_nulls(json!({
            "name": info.title,
            "version": info.api_version,
            "context": info.base_path,
            "description": info.description,
            "openAPIVersion": info.spec_version,
            "endpoints": info.servers,
        }))
    });
    let value = json!({ "isValid": report.valid, "info": info, "errors": errors });
    let mut value = without_nulls(value);
    if let (Some(content), Some(members)) = (content, value.as_object_mut()) {
        members.insert("content".to_owned(), Value::from(content));
    }
    value
}
