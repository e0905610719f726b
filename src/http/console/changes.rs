//! The change log: where it stands, and how far behind each follower is.

use std::time::Duration;

use actors::change_feed::{FollowerAt, Standing};
use cluster::Cluster;

use super::lasting;
use crate::seen::followers;
use crate::services::Services;

/// What is known of the log.
pub(super) struct ChangeLog {
    /// The last entry; none where nobody says so.
    pub(super) head: Option<u64>,
    pub(super) followers: Vec<Follower>,
}

/// A row of the table.
pub(super) struct Follower {
    /// The node that it is of, or its own name where that is not known.
    pub(super) node: String,
    /// What it follows for.
    pub(super) what: String,
    pub(super) applied: String,
    pub(super) behind: String,
    pub(super) silent: String,
    pub(super) lease: &'static str,
    /// The class of how it looks.
    pub(super) look: &'static str,
}

/// Asks where everybody is.
pub(super) async fn look(services: &Services) -> ChangeLog {
    let standing = followers::standing(services).await;
    let Ok(Standing::At { head, followers }) = standing else {
        return ChangeLog {
            head: None,
            followers: Vec::new(),
        };
    };
    let rows = followers
        .iter()
        .map(|one| Follower::of(&services.cluster, head, one));
    ChangeLog {
        head: Some(head),
        followers: rows.collect(),
    }
}

// === impl Follower ===

impl Follower {
    fn of(cluster: &Cluster, head: u64, one: &FollowerAt) -> Self {
        let members = cluster.members();
        let node = followers::node(cluster, &members, &one.name);
        let kind = one.name.split('@').next().unwrap_or_default();
        Self::told(node.unwrap_or(&one.name), kind, head, one)
    }

    fn told(node: &str, kind: &str, head: u64, one: &FollowerAt) -> Self {
        let unknown = || "not heard".to_owned();
        let behind = one.applied.map(|applied| head.saturating_sub(applied));
        let lease = followers::lease(one);
        let look = match (lease, behind) {
            ("fenced" | "over", _) => "bad",
            (_, Some(0)) => "good",
            _ => "worry",
        };
        let silent = one.silent_ms.map(Duration::from_millis);
        Self {
            node: node.to_owned(),
            what: kind.to_owned(),
            applied: one
                .applied
                .map_or_else(unknown, |applied| applied.to_string()),
            behind: behind.map_or_else(unknown, |behind| behind.to_string()),
            silent: silent.map_or_else(unknown, lasting::words),
            lease,
            look,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::serving_lease::{FollowerKind, WhenCutOff};

    use super::*;

    #[test]
    fn a_follower_is_behind_by_what_it_has_not_applied_and_bad_without_a_lease() {
        let at = |applied, silent_ms| FollowerAt {
            name: "gateway@g".to_owned(),
            kind: FollowerKind::Calls(WhenCutOff::Serve),
            applied,
            silent_ms,
            fenced: false,
        };
        let told = |applied, silent_ms| {
            let row = Follower::told("gw1", "gateway", 7, &at(applied, silent_ms));
            (row.behind, row.look)
        };
        assert_eq!(told(Some(7), Some(100)), ("0".to_owned(), "good"));
        assert_eq!(told(Some(4), Some(100)), ("3".to_owned(), "worry"));
        assert_eq!(told(Some(7), Some(9_000)), ("0".to_owned(), "bad"));
        assert_eq!(told(None, None), ("not heard".to_owned(), "bad"));
    }
}
