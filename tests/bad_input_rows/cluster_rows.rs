//! The table's rows of what operators look at and order in a cluster, at a node that is alone.

use serde_json::{Value, json};

use super::list_rows::paged;
use super::rows::{Good, Row, gone, wrong};

/// What a node is called that nobody gave a name.
const NODE: &str = "headgate";

pub(super) fn all() -> [Row; 8] {
    let shards = paged("/admin/shards", json!({"shard": "7", "keys": "5"}));
    let actors = json!({"node": NODE, "component": "gateway", "kind": "k", "name": "gateway"});
    let actors = paged("/admin/actors", actors);
    let config = Good::Query(json!({"node": NODE}));
    let config = Row::new("GET", "/admin/config", config, 200);
    let look = Good::Query(json!({"node": NODE}));
    // A node that is there brings back what it has.
    let look = Row::new("GET", "/admin/forget", look, 409);
    let forget = Row::json("POST", "/admin/forget", json!({"node": NODE}), 409);
    let voters = Row::json("PUT", "/admin/voters", json!({"voters": [NODE]}), 202);
    // Nothing is counted of that key yet.
    let change = |body| Row::json("POST", "/admin/keys/{*key}", body, 404);
    let named = |names: &[&str]| wrong("/voters", Value::from(names.to_vec()));
    [
        shards.unknown("/node").faults([
            wrong("/shard", json!("256")),
            wrong("/shard", json!("first")),
            wrong("/keys", json!("201")),
            wrong("/keys", json!("-1")),
            gone("/shard").called("keys"),
        ]),
        actors
            .unknown("/node")
            .faults([wrong("/limit", json!("0"))])
            .free("component", "no actor has such a name")
            .free("kind", "no actor is of such a kind")
            .free("name", "no actor's name begins so"),
        config
            .unknown("/node")
            .takes_all("what names no node is told to be nothing that there is"),
        look.faults([gone("/node"), wrong("/node", json!(""))])
            .unknown("/node"),
        forget
            .faults([
                wrong("/node", json!(5)),
                wrong("/node", json!("")),
                wrong("/node", json!("x".repeat(256))),
            ])
            .required(&["node"])
            .unknown("/node"),
        voters.required(&["voters"]).faults([
            wrong("/voters", json!(NODE)),
            wrong("/voters", json!([5])),
            named(&[]),
            named(&[NODE, NODE]),
            named(&[NODE, NODE, NODE]),
            named(&["moon"]),
        ]),
        change(json!({"units": 5}))
            .level("refund")
            .required(&["units"])
            .faults([
                wrong("/units", json!(0)),
                wrong("/units", json!(-1)),
                wrong("/units", json!(1.5)),
                wrong("/units", json!("5")),
                wrong("/units", json!(u64::MAX)),
            ]),
        change(json!({}))
            .level("reset")
            .faults([wrong("/units", json!(5))]),
    ]
}
