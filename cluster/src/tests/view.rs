//! Who is asked first.

use std::sync::Arc;

use super::door::{member, other, way};
use crate::members::{Health, MemberState};
use crate::path::Path;
use crate::view::{Seen, View};

#[tokio::test]
async fn whoever_answers_and_stays_is_asked_before_who_leaves_and_who_leaves_before_a_suspect() {
    let mut seen = Vec::new();
    let (router, _) = other(true).await;
    for (id, health, leaving) in [
        ("suspect", Health::Suspect, false),
        ("leaves", Health::Up, true),
        ("one", Health::Up, false),
        ("two", Health::Up, false),
    ] {
        let state = MemberState {
            member: member(id),
            health,
            leaving,
            since_ms: 0,
        };
        let path = Some(way(router.clone()));
        seen.push(Seen { state, path });
    }
    let view = View { seen };
    let mut firsts = Vec::new();
    for turn in 0..4 {
        let ways = view.ways("adder", turn);
        let name = |way: &Arc<Path>| {
            let is_it = |seen: &&Seen| seen.path.as_ref().is_some_and(|it| Arc::ptr_eq(it, way));
            view.seen
                .iter()
                .find(is_it)
                .unwrap()
                .state
                .member
                .id
                .clone()
        };
        let names: Vec<String> = ways.iter().map(name).collect();
        assert_eq!(names[2..], ["leaves", "suspect"], "{names:?}");
        firsts.push(names[0].clone());
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts, ["one", "two"], "callers are spread over equals");
    assert!(view.ways("another", 0).is_empty());
}
