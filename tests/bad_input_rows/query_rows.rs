//! The table's rows of operations without a body: their parameters are in the query or the path.
//! They come last, because they block, retire and clean up what the other rows use.

use serde_json::{Value, json};

use super::rows::{Fault, Good, Row, gone, wrong};
use super::world::World;

fn query(path: &'static str, good: Value, status: u16) -> Row {
    Row::new("POST", path, Good::Query(good), status)
}

/// Missing and empty.
fn required(pointer: &str) -> Vec<Fault> {
    vec![gone(pointer), wrong(pointer, json!(""))]
}

pub(super) fn all(world: &World) -> Vec<Row> {
    let mut rows = publisher(world);
    rows.extend(subscriptions(world));
    rows.extend(keys());
    let name = json!({"name": "admin/writer/0", "node": "headgate"});
    let restart = query("/admin/actors/restart", name, 200);
    rows.push(
        restart
            .faults(required("/name"))
            .unknown("/name")
            .unknown("/node"),
    );
    rows
}

fn publisher(world: &World) -> Vec<Row> {
    let validate = json!({"query": "name:Rows"});
    let validate = query("/api/am/publisher/v4/apis/validate", validate, 200);
    let copy = json!({"apiId": world.api, "newVersion": "2.0.0", "defaultVersion": "false"});
    let copy = query("/api/am/publisher/v4/apis/copy-api", copy, 201);
    let restore = json!({"revisionId": world.revision});
    let restore = query(
        "/api/am/publisher/v4/apis/{apiId}/restore-revision",
        restore,
        201,
    );
    let block = json!({"apiId": world.api, "action": "Block"});
    let block = query("/api/am/publisher/v4/apis/change-lifecycle", block, 200);
    vec![
        validate.faults(required("/query")),
        copy.faults(required("/apiId"))
            .faults(required("/newVersion"))
            .faults([
                wrong("/newVersion", json!("a/b")),
                wrong("/newVersion", json!("9".repeat(31))),
                wrong("/defaultVersion", json!("perhaps")),
                wrong("/serviceVersion", json!("v1")),
            ])
            .unknown("/apiId")
            .tagged()
            .once(&["newVersion"]),
        restore
            .faults(required("/revisionId"))
            .unknown("/revisionId")
            .tagged(),
        block
            .faults(required("/apiId"))
            .faults(required("/action"))
            .faults([
                wrong("/action", json!("Fly")),
                wrong("/lifecycleChecklist", json!("none")),
            ])
            .unknown("/apiId")
            .tagged(),
    ]
}

fn subscriptions(world: &World) -> [Row; 2] {
    let mut good = json!({"subscriptionId": world.subscription});
    let unblock = query(
        "/api/am/publisher/v4/subscriptions/unblock-subscription",
        good.clone(),
        200,
    );
    good["blockState"] = json!("PROD_ONLY_BLOCKED");
    let block = query(
        "/api/am/publisher/v4/subscriptions/block-subscription",
        good,
        200,
    );
    [
        block
            .faults(required("/subscriptionId"))
            .faults(required("/blockState"))
            .faults([wrong("/blockState", json!("HALF"))])
            .unknown("/subscriptionId")
            .tagged(),
        unblock
            .faults(required("/subscriptionId"))
            .unknown("/subscriptionId")
            .tagged(),
    ]
}

/// What has no parameter but its path's.
fn keys() -> Vec<Row> {
    let paths = [
        "/api/am/devportal/v3/applications/{applicationId}/oauth-keys/{keyMappingId}/regenerate-secret",
        "/api/am/devportal/v3/applications/{applicationId}/keys/{keyType}/regenerate-secret",
        "/api/am/devportal/v3/applications/{applicationId}/oauth-keys/{keyMappingId}/clean-up",
    ];
    let rows = paths.map(|path| {
        let row = query(path, json!({}), 200).owned();
        match path.ends_with("/clean-up") {
            true => row.tagged(),
            false => row,
        }
    });
    let old = "/api/am/devportal/v3/applications/{applicationId}/keys/{keyType}/clean-up";
    // The other application's keys are the ones that its own row has made.
    let old = query(old, json!({}), 200).level("idle").owned().tagged();
    let rows = rows.into_iter().chain([old]);
    rows.map(|row| row.takes_all("the path says it all"))
        .collect()
}
