//! `/applications`: each user's own.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use actors::Failure;
use actors::devportal::{ApplicationListing, ApplicationSort};
use actors::failure;
use domain::application::{Application, DEFAULT_APPLICATION};
use domain::policy::UNLIMITED;

use super::application_document::{Holdings, read, write, write_info};
use super::portal;
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::{seen, seen_version};
use crate::entity_tag::{met, wanted};
use crate::error::ApiError;
use crate::failure::{answer, answer_to};
use crate::management::with_applied;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::{Page, listed_at};
use crate::query::Query;
use crate::services::Services;

const MANAGE: Access = Access::Scopes(&["apim:subscribe", "apim:app_manage"]);
/// Who carries applications from one platform to another may see and remove them.
const CARRY: Access = Access::Scopes(&[
    "apim:subscribe",
    "apim:app_manage",
    "apim:app_import_export",
]);
const ALL: &str = "/api/am/devportal/v3/applications";
const ONE: &str = "/api/am/devportal/v3/applications/{applicationId}";

pub(super) static LIST: Operation = Operation::new("GET", ALL, CARRY, BodyKind::Empty).query(&[
    "query",
    "groupId",
    "sortBy",
    "sortOrder",
    "limit",
    "offset",
]);
pub(super) static CREATE: Operation = Operation::new("POST", ALL, MANAGE, BodyKind::Json)
    .unique(&["name"])
    .required(&["name", "throttlingPolicy"]);
pub(super) static GET: Operation = Operation::new("GET", ONE, MANAGE, BodyKind::Empty).owned();
pub(super) static UPDATE: Operation = Operation::new("PUT", ONE, MANAGE, BodyKind::Json)
    .owned()
    .if_match()
    .unique(&["name"])
    .required(&["name", "throttlingPolicy"]);
pub(super) static DELETE: Operation = Operation::new("DELETE", ONE, CARRY, BodyKind::Empty)
    .owned()
    .if_match();

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = CREATE.mount(router, create);
    let router = GET.mount(router, get);
    let router = UPDATE.mount(router, update);
    DELETE.mount(router, delete)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Searched {
    query: Option<String>,
    group_id: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    page: Page,
    Query(searched): Query<Searched>,
) -> Result<Response, ApiError> {
    no_groups(searched.group_id.as_deref())?;
    let handle = portal(&services)?;
    let part = searched.query.as_deref().unwrap_or_default();
    let (sort, descending) = order(searched.sort_by.as_deref(), searched.sort_order.as_deref())?;
    let listing = ApplicationListing {
        part,
        sort,
        descending,
        limit: page.limit,
        offset: page.offset,
    };
    let found = handle
        .applications(&caller.tenant, &caller.user, listing)
        .await;
    let (mut rows, mut total) = found.map_err(answer)?;
    if total == 0 && part.is_empty() {
        ensure_default(&services, &caller).await?;
        let found = handle
            .applications(&caller.tenant, &caller.user, listing)
            .await;
        (rows, total) = found.map_err(answer)?;
    }
    let list = rows
        .iter()
        .map(|row| write_info(&row.application, row.subscriptions));
    let parameters = [
        ("query", searched.query.as_deref()),
        ("sortBy", searched.sort_by.as_deref()),
        ("sortOrder", searched.sort_order.as_deref()),
    ];
    let path = listed_at(ALL, &parameters);
    Ok(seen(page.answer(&list.collect::<Vec<_>>(), total, &path)))
}

/// Reads `sortBy` and `sortOrder`; the second is whether it is descending.
fn order(by: Option<&str>, order: Option<&str>) -> Result<(ApplicationSort, bool), ApiError> {
    let by = match by {
        None | Some("name") => ApplicationSort::Name,
        Some("throttlingPolicy") => ApplicationSort::Policy,
        Some("status") => ApplicationSort::Status,
        Some(_) => {
            let problem = "must be name, throttlingPolicy or status";
            return Err(ApiError::bad_field("sortBy", problem));
        }
    };
    match order {
        None | Some("asc") => Ok((by, false)),
        Some("desc") => Ok((by, true)),
        Some(_) => Err(ApiError::bad_field("sortOrder", "must be asc or desc")),
    }
}

/// Refuses a group: there are none, so its list would be another one than was asked for.
pub(super) fn no_groups(group: Option<&str>) -> Result<(), ApiError> {
    match group {
        None | Some("") => Ok(()),
        Some(_) => {
            let problem = "sharing by groups is not in force on this platform, leave it out";
            Err(ApiError::bad_field("groupId", problem))
        }
    }
}

/// Every subscriber has an application from the start; it is made when they first look.
async fn ensure_default(services: &Services, caller: &Caller) -> Result<(), ApiError> {
    let members = json!({ "name": DEFAULT_APPLICATION, "throttlingPolicy": UNLIMITED });
    let fields = Fields::from_map(members.as_object().cloned().unwrap_or_default());
    let application = read(caller, fields, services.system.clock.now_ms())?;
    match portal(services)?
        .create_application(application)
        .await
        .map_err(failure)
    {
        // Two first looks at once: the other one made it.
        Ok(_) | Err(Failure::Duplicate(_)) => Ok(()),
        Err(error) => Err(answer(error)),
    }
}

async fn create(
    State(services): State<Services>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let application = read(&caller, fields, services.system.clock.now_ms())?;
    let changed = portal(&services)?.create_application(application).await;
    let changed = changed.map_err(answer_to(&CREATE))?;
    let application = &changed.value;
    let mut response = located(application, &Holdings::default());
    *response.status_mut() = StatusCode::CREATED;
    Ok(with_applied(response, &changed.applied))
}

/// An application with where it is and the tag of what is seen of it: more than its own row, so
/// neither the row's version nor the moment of its last change would tell.
fn located(application: &Application, held: &Holdings) -> Response {
    let location = [(header::LOCATION, format!("{ALL}/{}", application.id))];
    (location, seen(write(application, held))).into_response()
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let application = own(&services, &caller, &id).await?;
    let held = holdings(&services, &application).await?;
    Ok(seen(write(&application, &held)))
}

async fn update(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let known = own(&services, &caller, &id).await?;
    let expected = expected(&services, &known, &headers).await?;
    let mut application = read(&caller, fields, services.system.clock.now_ms())?;
    application.id = known.id;
    application.created_at_ms = known.created_at_ms;
    application.row_version = expected;
    let changed = portal(&services)?.update_application(application).await;
    let changed = changed.map_err(answer_to(&UPDATE))?;
    let application = &changed.value;
    let held = holdings(&services, application).await?;
    Ok(with_applied(located(application, &held), &changed.applied))
}

async fn delete(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut known = own(&services, &caller, &id).await?;
    known.row_version = expected(&services, &known, &headers).await?;
    let changed = portal(&services)?.delete_application(known).await;
    let changed = changed.map_err(answer)?;
    Ok(with_applied(
        StatusCode::OK.into_response(),
        &changed.applied,
    ))
}

/// The row version that a change must meet: that of the application whose document the caller has
/// seen, 0 when they did not say.
async fn expected(
    services: &Services,
    known: &Application,
    headers: &HeaderMap,
) -> Result<i64, ApiError> {
    if wanted(headers)?.is_empty() {
        return Ok(0);
    }
    let held = holdings(services, known).await?;
    let met = met(headers, seen_version(&write(known, &held)))?;
    Ok(met.map_or(0, |_| known.row_version))
}

async fn holdings(services: &Services, application: &Application) -> Result<Holdings, ApiError> {
    let (handle, tenant) = (portal(services)?, &application.tenant);
    let held = handle.subscriptions(tenant, &application.id).await;
    let scopes = handle.scopes_of_application(tenant, &application.id).await;
    Ok(Holdings {
        subscriptions: i64::try_from(held.map_err(answer)?.len()).unwrap_or(i64::MAX),
        keys: handle.keys(application).await.map_err(answer)?,
        scopes: scopes.map_err(answer)?,
    })
}

/// The caller's own application; another's is not found.
pub(super) async fn own(
    services: &Services,
    caller: &Caller,
    id: &str,
) -> Result<Application, ApiError> {
    let found = portal(services)?
        .application(&caller.tenant, &caller.user, id)
        .await;
    found.map_err(answer)
}
