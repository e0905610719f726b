//! A follower of the change log as all nodes of the control plane know it (S1, S3): a row of API-M.

use crate::serving_lease::{FollowerKind, WhenCutOff};

/// A follower that changes are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The name it follows under.
    pub name: String,
    /// What it follows for.
    pub kind: FollowerKind,
    /// The life of its node that it registered in (W1).
    pub incarnation: u64,
    /// When it registered last, milliseconds since the epoch.
    pub registered_at_ms: i64,
    /// Since when nobody waits for it any more, if so.
    pub fenced_at_ms: Option<i64>,
    /// When it left in order, if it did; it is fenced then.
    pub left_at_ms: Option<i64>,
}

// === impl Registered ===

impl Registered {
    /// Whether it left in order and was not registered since, not even by a version that knows of no leaving.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left_at_ms.is_some() && self.fenced_at_ms.is_some()
    }

    /// Whether it left and serves nobody since, so that no change names it. One that may start without
    /// a control plane is named until it is heard again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.has_left() && self.kind != FollowerKind::Calls(WhenCutOff::Serve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_registered_again_by_a_version_that_knows_of_no_leaving_is_there() {
        let left = |kind, fenced_at_ms| Registered {
            name: "one".to_owned(),
            kind,
            incarnation: 1,
            registered_at_ms: 1,
            fenced_at_ms,
            left_at_ms: Some(7),
        };
        for kind in [
            FollowerKind::Calls(WhenCutOff::Refuse),
            FollowerKind::Calls(WhenCutOff::Serve),
            FollowerKind::Policies,
        ] {
            // That version takes back the fence, and leaves the rest.
            let again = left(kind, None);
            assert!(!again.has_left() && !again.is_gone(), "{kind:?}");
            assert!(left(kind, Some(7)).has_left(), "{kind:?}");
        }
    }
}
