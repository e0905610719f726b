//! Those who follow the change log: on which node each is, and whether calls may be served by what it has applied.

use actors::change_feed::{FollowerAt, Standing};
use cluster::{AskError, Cluster, MemberState};
use domain::serving_lease::{FollowerKind, OVER_MS};

use super::PATIENCE;
use crate::services::Services;

/// Where the log and all of them stand, as the control plane says.
pub(crate) async fn standing(services: &Services) -> Result<Standing, AskError> {
    services.change_feed.positions(PATIENCE).await
}

/// The name of the node whose follower this is; followers go by its id.
pub(crate) fn node<'a>(
    cluster: &'a Cluster,
    members: &'a [MemberState],
    follower: &str,
) -> Option<&'a str> {
    let (_, id) = follower.split_once('@')?;
    let others = members.iter().map(|state| &state.member);
    let mut all = std::iter::once(cluster.me()).chain(others);
    let found = all.find(|member| member.id == id)?;
    Some(&found.name)
}

/// Whether calls may be served by what it has applied (S1), as far as one node knows.
pub(crate) fn lease(one: &FollowerAt) -> &'static str {
    let is_over = one
        .silent_ms
        .is_none_or(|silent_ms| silent_ms >= OVER_MS.unsigned_abs());
    match (one.fenced, is_over, one.kind) {
        (true, _, _) => "fenced",
        (false, true, _) => "over",
        (false, false, FollowerKind::Policies) => "none",
        (false, false, FollowerKind::Calls(_)) => "held",
    }
}

#[cfg(test)]
mod tests {
    use domain::serving_lease::WhenCutOff;

    use super::*;

    #[test]
    fn a_lease_is_held_by_whoever_is_heard_and_not_fenced() {
        let at = |fenced, silent_ms| FollowerAt {
            name: "gateway@g".to_owned(),
            kind: FollowerKind::Calls(WhenCutOff::Serve),
            applied: Some(1),
            silent_ms,
            fenced,
        };
        assert_eq!(lease(&at(false, Some(500))), "held");
        assert_eq!(lease(&at(false, Some(2_100))), "over");
        assert_eq!(lease(&at(false, None)), "over");
        assert_eq!(lease(&at(true, Some(0))), "fenced");
    }
}
