//! A change of view (L3, L4): nothing granted in Sync, nothing of an older view released.

use super::tests::{MINUTE, RETRY, T, ask, ledger, policies, replies};
use super::*;

#[test]
fn nothing_is_granted_while_a_view_is_in_sync_and_what_was_held_back_is_dropped() {
    let mut ledger = ledger(5, MINUTE);
    ledger.step(Input::Ask(ask("g1", 0, 1)), T);
    let view = |active| Input::View {
        epoch: 2,
        active,
        standby: true,
        t0_ms: Some(T),
        source: Source::Lost,
    };
    assert!(ledger.step(view(false), T).is_empty());
    assert_eq!(
        replies(&ledger.step(Input::Ask(ask("g1", 0, 1)), T)),
        [("g1", 0, RETRY)]
    );
    let images = ledger.images();
    let mut heir = Ledger::new(
        3,
        Recovery {
            epoch: 2,
            t0_ms: None,
            lost_ms: None,
            source: Source::Lost,
            marks: vec![],
        },
        policies(1, 5, MINUTE),
    );
    heir.step(Input::Adopt(images), T);
    heir.step(view(true), T);
    assert_eq!(
        replies(&heir.step(Input::Ask(ask("g1", 0, 1)), T)),
        [("g1", 1, Outcome::Granted)],
        "granted before"
    );
}
