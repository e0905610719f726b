//! `/subscriptions`: those of the caller's own applications.

use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::change_feed::Changed;
use domain::subscription::Subscription;

use super::applications::{no_groups, own};
use super::portal;
use super::subscription_document::{Named, read, write};
use crate::auth::Caller;
use crate::body::{self, Fields};
use crate::document::{present, seen, seen_version};
use crate::entity_tag::{met, wanted};
use crate::error::ApiError;
use crate::failure::{answer, answer_to};
use crate::management::with_applied;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::{Page, listed_at};
use crate::query::Query;
use crate::services::Services;

const MANAGE: Access = Access::Scopes(&["apim:subscribe", "apim:sub_manage"]);
const ALL: &str = "/api/am/devportal/v3/subscriptions";
const ONE: &str = "/api/am/devportal/v3/subscriptions/{subscriptionId}";
/// The most subscriptions made at once.
const MOST: usize = 100;

pub(super) static LIST: Operation = Operation::new("GET", ALL, MANAGE, BodyKind::Empty)
    .query(&["apiId", "applicationId", "groupId", "limit", "offset"])
    .owned();
pub(super) static CREATE: Operation = Operation::new("POST", ALL, MANAGE, BodyKind::Json)
    .owned()
    .unique(&["apiId", "applicationId"])
    .required(&["apiId", "applicationId", "throttlingPolicy"]);
pub(super) static CREATE_MANY: Operation = Operation::new(
    "POST",
    "/api/am/devportal/v3/subscriptions/multiple",
    MANAGE,
    BodyKind::Json,
)
.owned()
.required(&["[].apiId", "[].applicationId", "[].throttlingPolicy"]);
pub(super) static GET: Operation = Operation::new("GET", ONE, MANAGE, BodyKind::Empty).owned();
pub(super) static UPDATE: Operation = Operation::new("PUT", ONE, MANAGE, BodyKind::Json)
    .owned()
    .if_match()
    .required(&["applicationId", "throttlingPolicy"]);
pub(super) static DELETE: Operation = Operation::new("DELETE", ONE, MANAGE, BodyKind::Empty)
    .owned()
    .if_match();

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = CREATE.mount(router, create);
    let router = CREATE_MANY.mount(router, create_many);
    let router = GET.mount(router, get);
    let router = UPDATE.mount(router, update);
    DELETE.mount(router, delete)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    api_id: Option<String>,
    application_id: Option<String>,
    group_id: Option<String>,
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    page: Page,
    Query(of): Query<Of>,
) -> Result<Response, ApiError> {
    no_groups(of.group_id.as_deref())?;
    let handle = portal(&services)?;
    let mut all = match (&of.application_id, &of.api_id) {
        (Some(id), _) => {
            own(&services, &caller, id).await?;
            handle.subscriptions(&caller.tenant, id).await
        }
        (None, Some(id)) => {
            handle
                .subscriptions_of_api(&caller.tenant, id, &caller.user)
                .await
        }
        (None, None) => {
            return Err(ApiError::bad_field("apiId", "or applicationId is required"));
        }
    }
    .map_err(answer)?;
    if let Some(api) = &of.api_id {
        all.retain(|held| *api == held.api_id);
    }
    let total = all.len();
    let shown: Vec<_> = all.into_iter().skip(page.offset).take(page.limit).collect();
    let named = named(&services, &caller, &shown).await?;
    let list: Vec<Value> = shown.iter().map(|held| write(held, &named)).collect();
    let parameters = [
        ("apiId", of.api_id.as_deref()),
        ("applicationId", of.application_id.as_deref()),
    ];
    let path = listed_at(ALL, &parameters);
    Ok(seen(page.answer(&list, total, &path)))
}

/// The APIs and applications that subscriptions name.
async fn named<'a>(
    services: &Services,
    caller: &Caller,
    subscriptions: impl IntoIterator<Item = &'a Subscription>,
) -> Result<Named, ApiError> {
    let handle = portal(services)?;
    let ids = subscriptions
        .into_iter()
        .map(|held| (held.api_id.as_str(), held.application_id.as_str()));
    let (apis, applications): (BTreeSet<_>, BTreeSet<_>) = ids.unzip();
    let apis = handle.apis_by_id(&caller.tenant, apis);
    let apis = apis.await.map_err(answer)?;
    let applications = handle.applications_by_id(&caller.tenant, applications);
    Ok(Named {
        apis,
        applications: applications.await.map_err(answer)?,
    })
}

/// One subscription with what it names.
async fn shown(
    services: &Services,
    caller: &Caller,
    subscription: &Subscription,
) -> Result<Value, ApiError> {
    let named = named(services, caller, [subscription]).await?;
    Ok(write(subscription, &named))
}

async fn create(
    State(services): State<Services>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let new = read(&caller, fields, services.system.clock.now_ms())?;
    own(&services, &caller, &new.application_id).await?;
    let changed = portal(&services)?.create_subscription(new).await;
    let changed = changed.map_err(answer_to(&CREATE))?;
    let mut response = located(&services, &caller, &changed.value).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(with_applied(response, &changed.applied))
}

/// All are read before the first is made; then each is made on its own: those that are refused say
/// so in their place. A failure of the platform is the answer's.
async fn create_many(
    State(services): State<Services>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    if !body::is_json(request.headers()) {
        return Err(ApiError::unsupported_media("application/json"));
    }
    let bytes = body::read(request, body::JSON_LIMIT).await?;
    let listed: Vec<Value> = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not a JSON list: {error}")))?;
    if listed.len() > MOST {
        let problem = format!("the body must not list more than {MOST} subscriptions");
        return Err(ApiError::bad_request(problem));
    }
    let (mut places, mut wanted) = (Vec::with_capacity(listed.len()), Vec::new());
    for one in &listed {
        let refused = match wished(&services, &caller, one.clone()).await {
            Ok(new) => {
                wanted.push(new);
                None
            }
            Err(error) if error.status().is_server_error() => return Err(error),
            Err(error) => Some(error),
        };
        places.push(refused);
    }
    if wanted.is_empty() {
        let refused = listed.iter().zip(places.into_iter().flatten());
        let list = refused.map(|(asked, why)| refusal(asked, &why)).collect();
        return Ok(Json(Value::Array(list)).into_response());
    }
    let changed = portal(&services)?.create_subscriptions(wanted).await;
    let Changed { value, applied } = changed.map_err(answer)?;
    let held = value.iter().filter_map(|made| made.as_ref().ok());
    let named = named(&services, &caller, held).await?;
    let (mut made, mut list) = (value.into_iter(), Vec::with_capacity(listed.len()));
    for (asked, refused) in listed.iter().zip(places) {
        let done = match refused {
            Some(error) => Err(error),
            None => match made.next() {
                Some(made) => made.map_err(answer_to(&CREATE)),
                None => Err(ApiError::unavailable(&"fewer subscriptions than asked for")),
            },
        };
        list.push(match done {
            Ok(held) => write(&held, &named),
            Err(error) => refusal(asked, &error),
        });
    }
    Ok(with_applied(
        Json(Value::Array(list)).into_response(),
        &applied,
    ))
}

/// A subscription that may be made, to an application of the caller's own.
async fn wished(
    services: &Services,
    caller: &Caller,
    one: Value,
) -> Result<Subscription, ApiError> {
    let new = read_one(caller, one, services.system.clock.now_ms())?;
    own(services, caller, &new.application_id).await?;
    Ok(new)
}

fn read_one(caller: &Caller, one: Value, now_ms: i64) -> Result<Subscription, ApiError> {
    match one {
        Value::Object(members) => read(caller, Fields::from_map(members), now_ms),
        _ => Err(ApiError::bad_request("must be an object".to_owned())),
    }
}

/// A subscription that was not made, with the reason where a workflow would tell what comes next.
fn refusal(asked: &Value, why: &ApiError) -> Value {
    let member = |name: &str| asked.get(name).cloned().unwrap_or(Value::Null);
    present(json!({
        "applicationId": member("applicationId"),
        "apiId": member("apiId"),
        "throttlingPolicy": member("throttlingPolicy"),
        "requestedThrottlingPolicy": member("throttlingPolicy"),
        "status": "REJECTED",
        "redirectionParams": why.description(),
    }))
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = portal(&services)?
        .subscription(&caller.tenant, &caller.user, &id)
        .await;
    let (subscription, _) = found.map_err(answer)?;
    Ok(seen(shown(&services, &caller, &subscription).await?))
}

/// A subscription with where it is and the tag of what is seen of it.
async fn located(
    services: &Services,
    caller: &Caller,
    subscription: &Subscription,
) -> Result<Response, ApiError> {
    let location = [(header::LOCATION, format!("{ALL}/{}", subscription.id))];
    let body = seen(shown(services, caller, subscription).await?);
    Ok((location, body).into_response())
}

/// Whether a change must find the subscription as it was read here: when the caller has seen the
/// document as it is; false when they did not say.
async fn is_met(
    services: &Services,
    caller: &Caller,
    headers: &HeaderMap,
    subscription: &Subscription,
) -> Result<bool, ApiError> {
    if wanted(headers)?.is_empty() {
        return Ok(false);
    }
    let document = shown(services, caller, subscription).await?;
    Ok(met(headers, seen_version(&document))?.is_some())
}

/// The policy that a change asks for. `requestedThrottlingPolicy` is in every answer, so one that is as it was answered asks
/// for nothing where `throttlingPolicy` is another. A subscription stays of the API and the application that it is of: a change that
/// names others would be answered with what was not done.
fn wished_policy(subscription: &Subscription, fields: &mut Fields) -> Result<String, ApiError> {
    let application = fields.required_text("applicationId", 60)?;
    for (member, given, held) in [
        (
            "applicationId",
            Some(application),
            &subscription.application_id,
        ),
        ("apiId", fields.text("apiId", 60)?, &subscription.api_id),
        (
            "subscriptionId",
            fields.text("subscriptionId", 60)?,
            &subscription.id,
        ),
    ] {
        // Clients that are made from the contract write an empty text for what they leave out.
        let given = given.filter(|given| member == "applicationId" || !given.is_empty());
        if given.is_some_and(|given| given != *held) {
            return Err(ApiError::bad_field(member, "cannot be changed"));
        }
    }
    let policy = fields.required_text("throttlingPolicy", 60)?;
    let wanted = fields.text("requestedThrottlingPolicy", 60)?;
    let is_as_answered = wanted.as_ref() == Some(&subscription.requested_policy);
    let asks_for_nothing = is_as_answered && policy != subscription.policy;
    let wanted = wanted.filter(|wanted| !wanted.is_empty() && !asks_for_nothing);
    Ok(wanted.unwrap_or(policy))
}

async fn update(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let found = portal(&services)?
        .subscription(&caller.tenant, &caller.user, &id)
        .await;
    let (subscription, _) = found.map_err(answer)?;
    let as_read = is_met(&services, &caller, &headers, &subscription).await?;
    let policy = wished_policy(&subscription, &mut fields)?;
    let changed = portal(&services)?
        .update_subscription(subscription, policy, as_read)
        .await;
    let changed = changed.map_err(answer)?;
    let response = located(&services, &caller, &changed.value).await?;
    Ok(with_applied(response, &changed.applied))
}

async fn delete(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = portal(&services)?
        .subscription(&caller.tenant, &caller.user, &id)
        .await;
    let (subscription, _) = found.map_err(answer)?;
    let as_read = is_met(&services, &caller, &headers, &subscription).await?;
    let changed = portal(&services)?
        .delete_subscription(subscription, as_read)
        .await;
    let changed = changed.map_err(answer)?;
    Ok(with_applied(
        StatusCode::OK.into_response(),
        &changed.applied,
    ))
}
