//! What both portals tell of a throttling policy beyond its numbers: an amount of bytes in the
//! contracts' units, whether it costs something, and the attributes that it was given.

use domain::policy::Policy;
use serde_json::{Map, Value};

/// Bytes in the largest unit that holds them whole; the contracts know none under KB.
pub(crate) const fn in_data_units(bytes: u64) -> (u64, &'static str) {
    match bytes {
        bytes if bytes % (1 << 30) == 0 => (bytes >> 30, "GB"),
        bytes if bytes % (1 << 20) == 0 => (bytes >> 20, "MB"),
        bytes if bytes % (1 << 10) == 0 => (bytes >> 10, "KB"),
        bytes => (bytes, "B"),
    }
}

/// Whether it is paid for (`tierPlan`): what the administration keeps as `billingPlan`. The
/// contracts know these two words; whatever else is kept there promises no price.
pub(crate) fn tier_plan(policy: &Policy) -> &'static str {
    let kept = kept(policy);
    let billing = kept.get("billingPlan").and_then(Value::as_str);
    if billing.is_some_and(|word| word.eq_ignore_ascii_case("COMMERCIAL")) {
        "COMMERCIAL"
    } else {
        "FREE"
    }
}

/// `attributes`: the administration's `customAttributes`, each by its name; of two of one name
/// the last.
pub(crate) fn attributes(policy: &Policy) -> Map<String, Value> {
    let kept = kept(policy);
    let listed = kept.get("customAttributes").and_then(Value::as_array);
    let named = |one: &Value| {
        let name = one.get("name")?.as_str()?;
        let value = one.get("value").and_then(Value::as_str).unwrap_or_default();
        Some((name.to_owned(), Value::from(value)))
    };
    listed.into_iter().flatten().filter_map(named).collect()
}

/// The members of the policy's document that have no effect.
fn kept(policy: &Policy) -> Map<String, Value> {
    serde_json::from_str(&policy.extra).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_holds_them_whole() {
        for (bytes, told) in [
            (3 << 30, (3, "GB")),
            (1 << 20, (1, "MB")),
            (1_537 << 10, (1_537, "KB")),
            (1_025, (1_025, "B")),
        ] {
            assert_eq!(in_data_units(bytes), told);
        }
    }

    #[test]
    fn a_plan_costs_what_its_document_says_and_nothing_where_that_says_nothing() {
        let mut plan = Policy::defaults("t", String::new).remove(0);
        for (extra, told, named) in [
            ("{}", "FREE", json!({})),
            ("no document", "FREE", json!({})),
            (r#"{"billingPlan": "FREE"}"#, "FREE", json!({})),
            (r#"{"billingPlan": null}"#, "FREE", json!({})),
            (
                r#"{"billingPlan": "commercial", "customAttributes": [
                    {"name": "a", "value": "1"}, {"name": "b"}, {"name": "a", "value": "2"}
                ]}"#,
                "COMMERCIAL",
                json!({"a": "2", "b": ""}),
            ),
        ] {
            extra.clone_into(&mut plan.extra);
            assert_eq!(tier_plan(&plan), told, "{extra}");
            assert_eq!(Value::Object(attributes(&plan)), named, "{extra}");
        }
    }
}
