//! The table's rows of reads that have parameters.

use serde_json::{Value, json};

use super::cluster_rows;
use super::rows::{Fault, Good, Row, gone, wrong};
use super::world::World;

fn read(path: &'static str, good: Value) -> Row {
    Row::new("GET", path, Good::Query(good), 200)
}

/// Of a list that comes page by page.
pub(super) fn paged(path: &'static str, mut good: Value) -> Row {
    good["limit"] = json!("5");
    good["offset"] = json!("0");
    read(path, good).faults([
        wrong("/limit", json!("many")),
        wrong("/limit", json!("-1")),
        wrong("/offset", json!("-1")),
        wrong("/offset", json!("1.5")),
    ])
}

fn search() -> [Fault; 3] {
    [
        wrong("/query", json!("moon:1")),
        wrong("/query", json!("name:a%20name:b")),
        wrong("/query", json!("x".repeat(1_001))),
    ]
}

fn sorting() -> [Fault; 2] {
    [
        wrong("/sortBy", json!("planet")),
        wrong("/sortOrder", json!("sideways")),
    ]
}

pub(super) fn all(world: &World) -> Vec<Row> {
    let mut rows = publisher(world);
    rows.extend(portal(world));
    rows.extend(cluster_rows::all());
    let denied = json!({"query": "conditionType:API"});
    let denied = read("/api/am/admin/v4/throttling/deny-policies", denied);
    let usage = paged("/admin/usage", json!({"from": "1000", "to": "2000"}));
    let people = json!({"startIndex": "1", "count": "5", "filter": "userName%20eq%20admin"});
    rows.extend([
        denied.faults([
            wrong("/query", json!("moon:1")),
            wrong("/query", json!("conditionType:API%26conditionType:API")),
        ]),
        usage.faults([
            wrong("/from", json!("yesterday")),
            wrong("/to", json!("tomorrow")),
            wrong("/to", json!("99000000000")),
            wrong("/limit", json!("0")),
        ]),
        read("/scim2/Users", people).faults([
            wrong("/startIndex", json!("first")),
            wrong("/startIndex", json!("1.5")),
            wrong("/count", json!("many")),
            wrong("/count", json!("-1")),
            wrong("/filter", json!("emails%20eq%20a")),
            wrong("/filter", json!("userName")),
        ]),
    ]);
    rows
}

fn publisher(world: &World) -> Vec<Row> {
    let apis = json!({"query": "name:Rows", "sortBy": "apiName", "sortOrder": "asc"});
    let apis = paged("/api/am/publisher/v4/apis", apis);
    let revisions = "/api/am/publisher/v4/apis/{apiId}/revisions";
    let revisions = read(revisions, json!({"query": "deployed:true"}));
    let subscriptions = json!({"apiId": world.api, "query": "holder"});
    let subscriptions = paged("/api/am/publisher/v4/subscriptions", subscriptions);
    let plans = "/api/am/publisher/v4/throttling-policies/{policyLevel}";
    vec![
        apis.faults(search()).faults(sorting()),
        revisions.faults([wrong("/query", json!("deployed:perhaps"))]),
        subscriptions
            .faults([wrong("/query", json!("name:a"))])
            .free("apiId", "nobody has subscribed to an API that is not there"),
        paged(plans, json!({})),
    ]
}

fn portal(world: &World) -> Vec<Row> {
    let named = || json!({"query": "name:Rows"});
    let found = paged("/api/am/devportal/v3/search", named());
    let apis = paged("/api/am/devportal/v3/apis", named());
    let swagger = "/api/am/devportal/v3/apis/{apiId}/swagger";
    let swagger = read(swagger, json!({"environmentName": "Default"}));
    let plans = "/api/am/devportal/v3/throttling-policies/{policyLevel}";
    let of = json!({"applicationId": world.application});
    let subscriptions = paged("/api/am/devportal/v3/subscriptions", of);
    let mine = json!({"query": "holder", "sortBy": "name", "sortOrder": "asc"});
    let mine = paged("/api/am/devportal/v3/applications", mine);
    let group = || wrong("/groupId", json!("a"));
    let keys = [
        "/api/am/devportal/v3/applications/{applicationId}/oauth-keys/{keyMappingId}",
        "/api/am/devportal/v3/applications/{applicationId}/keys/{keyType}",
    ];
    let keys = keys.map(|path| read(path, json!({})).faults([group()]).owned());
    let rows = vec![
        found.faults(search()),
        apis.faults(search()),
        swagger
            .unknown("/environmentName")
            .takes_all("another environment is one that is not there"),
        paged(plans, json!({})),
        subscriptions
            // Whoever names an API instead is answered.
            .faults([gone("/applicationId").called("apiId"), group()])
            .unknown("/applicationId")
            .free("apiId", "an API that is not there has no subscriptions")
            .owned(),
        mine.faults(sorting())
            .faults([group()])
            .free("query", "any text may be part of a name"),
    ];
    rows.into_iter().chain(keys).collect()
}
