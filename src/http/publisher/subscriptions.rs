//! `/subscriptions`: list, block, unblock.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::publisher::Subscriber;
use domain::subscription::SubscriptionStatus;

use super::{author, json as answer, publisher, required};
use crate::auth::Caller;
use crate::entity_tag::{self, tagged};
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::{Page, listed_at};
use crate::query::Query;
use crate::services::Services;

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/subscriptions",
    Access::Scopes(&[
        "apim:api_view",
        "apim:subscription_view",
        "apim:subscription_manage",
    ]),
    BodyKind::Empty,
)
.query(&["apiId", "query", "limit", "offset"]);
pub(super) static BLOCK: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/subscriptions/block-subscription",
    Access::Scopes(&["apim:subscription_block", "apim:subscription_manage"]),
    BodyKind::Empty,
)
.query(&["subscriptionId", "blockState"])
.if_match();
pub(super) static UNBLOCK: Operation = Operation::new(
    "POST",
    "/api/am/publisher/v4/subscriptions/unblock-subscription",
    Access::Scopes(&["apim:subscription_block", "apim:subscription_manage"]),
    BodyKind::Empty,
)
.query(&["subscriptionId"])
.if_match();

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = BLOCK.mount(router, block);
    UNBLOCK.mount(router, unblock)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    api_id: Option<String>,
    query: Option<String>,
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    page: Page,
    Query(asked): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let api_id = asked.api_id.unwrap_or_default();
    let words = asked.query.unwrap_or_default();
    if words.contains(':') {
        let problem =
            "has no modifiers: give a part of an application's name, of its owner or of a plan";
        return Err(ApiError::bad_field("query", problem));
    }
    let (rows, total) = publisher(&services)?
        .subscriptions(&caller.tenant, &api_id, &words, (page.limit, page.offset))
        .await?;
    let rows: Vec<Value> = rows.iter().map(subscription_value).collect();
    let path = listed_at(
        "/subscriptions",
        &[("apiId", Some(&api_id)), ("query", Some(&words))],
    );
    Ok(answer(page.answer(&rows, total, &path)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockQuery {
    subscription_id: Option<String>,
    block_state: Option<String>,
}

async fn block(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<BlockQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let status = match required("blockState", asked.block_state.as_deref())? {
        "BLOCKED" => SubscriptionStatus::Blocked,
        "PROD_ONLY_BLOCKED" => SubscriptionStatus::ProdOnlyBlocked,
        _ => {
            let problem = "must be BLOCKED or PROD_ONLY_BLOCKED";
            return Err(ApiError::bad_field("blockState", problem));
        }
    };
    let id = asked.subscription_id.as_deref();
    set(&services, &caller, id, &headers, status).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnblockQuery {
    subscription_id: Option<String>,
}

async fn unblock(
    State(services): State<Services>,
    caller: Caller,
    Query(asked): Query<UnblockQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (id, status) = (
        asked.subscription_id.as_deref(),
        SubscriptionStatus::Unblocked,
    );
    set(&services, &caller, id, &headers, status).await
}

async fn set(
    services: &Services,
    caller: &Caller,
    id: Option<&str>,
    headers: &HeaderMap,
    status: SubscriptionStatus,
) -> Result<Response, ApiError> {
    let id = required("subscriptionId", id)?.to_owned();
    let expected = entity_tag::wanted(headers)?;
    let saved = publisher(services)?.set_subscription(author(caller), id, status, expected);
    let saved = saved.await?;
    let response = tagged(StatusCode::OK.into_response(), saved.value);
    Ok(told(response, saved.applied.as_ref()))
}

fn subscription_value(one: &Subscriber) -> Value {
    let subscription = &one.subscription;
    json!({
        "subscriptionId": subscription.id,
        "applicationInfo": {
            "applicationId": subscription.application_id,
            "name": one.application,
            "subscriber": one.owner,
            "description": one.description,
        },
        "throttlingPolicy": subscription.policy,
        "subscriptionStatus": subscription.status.as_str(),
    })
}
