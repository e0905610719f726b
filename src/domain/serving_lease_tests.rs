//! The serving lease by itself; `simulation` has its world.

use super::*;

#[test]
fn a_steady_stream_of_changes_starves_nobody() {
    let mut lease = ServingLease::default();
    // Each head is applied 800 ms after it was named; by then newer ones were.
    for round in 0..20_u64 {
        let now_ms = i64::try_from(round).unwrap() * EVERY_MS;
        lease.applied(round.saturating_sub(2) * 10);
        let number = lease.ask(now_ms);
        lease.answered(number, round * 10);
        assert!(round < 2 || now_ms < lease.until_ms(), "round {round}");
    }
}

#[test]
fn whoever_stood_still_is_cut_off_only_when_nobody_answers_after() {
    let mut lease = ServingLease::default();
    let mut now_ms = 0;
    let mut round = |lease: &mut ServingLease, answered: bool, pause: i64| {
        now_ms += pause;
        lease.begin_round();
        let number = lease.ask(now_ms);
        if answered {
            lease.answered(number, 0);
        }
        (lease.is_cut_off(), now_ms < lease.until_ms())
    };
    assert_eq!(round(&mut lease, true, 0), (false, true));
    // A question goes unanswered because the process stood still for half a minute.
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    assert_eq!(round(&mut lease, true, 30_000), (false, true));
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    // As long as the lease lasts.
    assert_eq!(round(&mut lease, false, EVERY_MS), (true, false));
    assert_eq!(round(&mut lease, true, EVERY_MS), (false, true));
}

#[test]
fn whoever_forgets_what_it_had_applied_has_no_lease_that_needed_it() {
    let mut lease = ServingLease::default();
    lease.applied(7);
    let number = lease.ask(0);
    lease.answered(number, 7);
    assert_eq!(lease.until_ms(), LIFE_MS);
    lease.applied(6);
    assert_eq!(lease.until_ms(), i64::MIN);
    lease.applied(7);
    assert_eq!(lease.until_ms(), i64::MIN, "it asks anew");
}

#[test]
fn whoever_is_told_to_begin_anew_is_not_cut_off_and_has_no_lease() {
    let mut lease = ServingLease::default();
    for round in 0..20 {
        lease.begin_round();
        lease.ask(round * EVERY_MS);
        lease.refused();
    }
    assert!(!lease.is_cut_off());
    assert_eq!(lease.until_ms(), i64::MIN);
}

#[test]
fn nothing_follows_from_answers_of_another_history() {
    let mut lease = ServingLease::default();
    let number = lease.ask(0);
    lease.answered(number, 0);
    let other = lease.ask(1);
    lease.begin_anew();
    assert_eq!(lease.until_ms(), i64::MIN);
    lease.answered(other, 0);
    assert_eq!(lease.until_ms(), i64::MIN);
}
