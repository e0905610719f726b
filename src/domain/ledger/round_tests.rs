//! Who gets what came free in a recall round (L7, L9).

use super::tests::{MINUTE, RETRY, ask, ledger, replies, step};
use super::*;

#[test]
fn what_a_lease_waited_for_is_not_granted_to_the_one_after_it() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    assert_eq!(
        replies(&step(&mut ledger, ask("g2", 0, 1))),
        [("g2", 0, RETRY)]
    );
    let began_anew = Ask {
        holder: Holder::new("g2", 1, 2),
        ..ask("g2", 0, 0)
    };
    assert!(step(&mut ledger, began_anew).is_empty());
    let gives_back = Ask {
        returned: 1,
        emptied: true,
        ..ask("g1", 1, 0)
    };
    assert!(replies(&step(&mut ledger, gives_back)).is_empty());
    assert_eq!(
        replies(&step(&mut ledger, ask("g3", 0, 1))),
        [("g3", 1, Outcome::Granted)]
    );
}
