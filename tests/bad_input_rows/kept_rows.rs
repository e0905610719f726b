//! Members that have no effect and are kept.

use serde_json::json;

use super::rows::{Fault, wrong};

/// Members of no contract, deep inside, that are too large to be kept.
pub(super) fn too_large() -> [Fault; 4] {
    let large = || json!({"nobodyKnows": "x".repeat(40_000)});
    let of = |name: &str| json!({"verb": "GET", "target": name});
    let mut operation = of("/b");
    operation["nobodyKnows"] = large()["nobodyKnows"].clone();
    [
        wrong("/serviceInfo", large()),
        wrong("/operations", json!([of("/a"), operation])).called("operations.nobodyKnows"),
        wrong("/additionalPropertiesMap", json!({"a": {}, "b": large()}))
            .called("additionalPropertiesMap.b"),
        wrong("/additionalProperties", json!([{}, large()])),
    ]
}
