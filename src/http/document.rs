//! Documents as the contracts show them: a member that has no value is not there; `null` is not a
//! value of any of their types.

use serde_json::Value;

/// The object without the members that have no value.
pub(crate) fn present(mut document: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    document
}
