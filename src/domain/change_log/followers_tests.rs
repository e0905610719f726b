//! Whom changes wait for, and who is fenced.

use super::*;

fn registered(name: &str, kind: FollowerKind, fenced_at_ms: Option<i64>) -> Registered {
    Registered {
        name: name.to_owned(),
        kind,
        incarnation: 1,
        registered_at_ms: 1,
        fenced_at_ms,
        left_at_ms: None,
    }
}

const SERVE: FollowerKind = FollowerKind::Calls(WhenCutOff::Serve);
const REFUSE: FollowerKind = FollowerKind::Calls(WhenCutOff::Refuse);

#[test]
fn whoever_is_registered_is_waited_for_and_told_by_what_its_silence_means() {
    let mut followers = Followers::default();
    let all = [
        registered("gw1", SERVE, None),
        registered("gw2", SERVE, None),
        registered("gw3", REFUSE, None),
        registered("tm1", FollowerKind::Policies, None),
    ];
    followers.see(&all, 0);
    followers.acknowledged("gw1", 5, 99, 0);
    followers.acknowledged("nobody", 5, 99, 0);
    followers.acknowledged("gw2", 4, 99, 0);
    followers.pulled("gw2", 3, 0);
    followers.pulled("gw2", 9, 1);
    let told = |followers: &Followers| followers.applied(&all, 5, 100).0.to_string();
    assert_eq!(
        told(&followers),
        "1/4; behind=tm1; fenced=gw3; unreached=gw2"
    );
    assert_eq!(followers.slowest(100), Some(3));
    for name in ["gw2", "gw3", "tm1"] {
        followers.acknowledged(name, 5, 99, 100);
    }
    assert_eq!(told(&followers), "4/4");
}

#[test]
fn whoever_is_silent_is_fenced_and_waited_for_until_its_lease_is_over() {
    let mut followers = Followers::default();
    let open = [
        registered("gw1", REFUSE, None),
        registered("gw2", REFUSE, None),
    ];
    // One was heard of, the other only ever registered with another node.
    followers.see(&open, 0);
    followers.acknowledged("gw1", 5, 99, 3_000);
    let silent = |followers: &Followers, now_ms| {
        let silent = followers.silent(&open, now_ms);
        silent
            .iter()
            .map(|one| one.name.clone())
            .collect::<Vec<_>>()
    };
    assert!(silent(&followers, ALIVE_MS - 1).is_empty());
    assert_eq!(silent(&followers, ALIVE_MS), ["gw2"]);
    assert_eq!(silent(&followers, 3_000 + ALIVE_MS), ["gw1", "gw2"]);
    let fenced = [registered("gw2", REFUSE, Some(7))];
    followers.see(&fenced, 20_000);
    let applied = |now_ms| followers.applied(&fenced, 5, now_ms).0.to_string();
    assert_eq!(applied(20_000 + OVER_MS - 1), "0/1; fenced=gw2");
    assert_eq!(applied(20_000 + OVER_MS), "0/0");
    // One that serves without a lease may do so now.
    let serving = [registered("gw3", SERVE, Some(7))];
    followers.see(&serving, 40_000);
    let (told, waits) = followers.applied(&serving, 5, 40_000 + OVER_MS);
    assert_eq!(
        (told.to_string().as_str(), waits),
        ("0/1; unreached=gw3", false)
    );
    assert!(followers.applied(&serving, 5, 40_000).1);
}

#[test]
fn whoever_left_is_waited_for_no_more_and_named_only_where_it_may_serve_by_itself() {
    let left = |name: &str, kind| Registered {
        left_at_ms: Some(7),
        ..registered(name, kind, Some(7))
    };
    let all = [
        left("gw1", REFUSE),
        left("gw2", SERVE),
        left("tm1", FollowerKind::Policies),
    ];
    let mut followers = Followers::default();
    followers.see(&all, 0);
    for now_ms in [0, OVER_MS] {
        let (applied, waits) = followers.applied(&all, 5, now_ms);
        let told = (applied.to_string(), waits);
        assert_eq!(told, ("0/1; unreached=gw2".to_owned(), false));
    }
    let (applied, waits) = followers.applied(&all[..1], 5, 0);
    assert_eq!((applied.to_string().as_str(), waits), ("0/0", false));
}

#[test]
fn whoever_is_silent_falls_behind_as_the_head_rises() {
    let mut followers = Followers::default();
    assert!(followers.is_empty());
    followers.has_head(5);
    followers.acknowledged("gw1", 5, 5, 0);
    followers.has_head(9);
    assert_eq!(followers.behind(), [("gw1".to_owned(), 4)]);
    // A backup was restored.
    assert!(followers.looked_at(3));
    assert_eq!(followers.behind(), [("gw1".to_owned(), 3)]);
}

#[test]
fn names_without_end_are_not_remembered() {
    let mut followers = Followers::default();
    followers.acknowledged("gw1", 5, 99, 0);
    for n in 0..5_000 {
        followers.acknowledged(&format!("follower {n}"), 1, 99, 0);
        followers.pulled(&"long".repeat(n), 1, 0);
    }
    assert_eq!(followers.known.len(), MOST);
    let longest = followers.known.keys().map(String::len).max();
    assert!(longest <= Some(NAME), "{longest:?}");
    assert!(
        followers.acknowledged("gw1", 6, 99, 0),
        "who is known goes on"
    );
    assert!(!followers.acknowledged("gw2", 6, 99, 0));
}

#[test]
fn a_life_that_another_speaks_for_is_silent_until_one_of_them_is_heard() {
    let mut followers = Followers::default();
    let one = [registered("gw1", SERVE, None)];
    followers.see(&one, 0);
    followers.acknowledged("gw1", 9, 99, 0);
    for now_ms in [1_000, ALIVE_MS / 2, ALIVE_MS] {
        followers.dispute("gw1", now_ms);
        followers.pulled("gw1", 3, now_ms);
        followers.waits("gw1", now_ms);
    }
    assert_eq!(followers.silent(&one, ALIVE_MS).len(), 1);
    followers.acknowledged("gw1", 3, 99, ALIVE_MS);
    assert!(followers.silent(&one, ALIVE_MS).is_empty());
    assert!(followers.applied(&one, 4, ALIVE_MS).1, "it is what it says");
}

#[test]
fn what_was_acknowledged_beyond_the_head_was_of_another_history() {
    let mut followers = Followers::default();
    let one = [registered("gw1", SERVE, None)];
    followers.acknowledged("gw1", 50, 50, 0);
    // A late word takes nothing back, a restored backup does.
    followers.acknowledged("gw1", 40, 50, 1);
    assert_eq!(followers.applied(&one, 50, 1).0.to_string(), "1/1");
    followers.acknowledged("gw1", 40, 40, 2);
    assert!(followers.applied(&one, 41, 2).1);
}

#[test]
fn a_follower_of_another_history_has_acknowledged_nothing() {
    let mut followers = Followers::default();
    let one = [registered("gw1", SERVE, None)];
    followers.acknowledged("gw1", 50, 99, 0);
    followers.resync("gw1");
    let applied = followers.applied(&one, 7, 0).0.to_string();
    assert_eq!(applied, "0/1; unreached=gw1");
}

#[test]
fn where_a_newcomer_pulls_from_is_acknowledged_by_nobody_before_it_was_compared() {
    let mut followers = Followers::default();
    let one = [registered("gw1", SERVE, None)];
    // It may have that of the history before a restored backup.
    followers.pulled("gw1", 50, 0);
    let applied = followers.applied(&one, 7, 0).0.to_string();
    assert_eq!(applied, "0/1; unreached=gw1");
    assert!(
        followers.silent(&one, ALIVE_MS - 1).is_empty(),
        "it was heard"
    );
}

#[test]
fn a_backup_that_was_restored_while_no_feed_looked_is_seen_by_the_next_one() {
    let mut followers = Followers::default();
    let one = [registered("gw1", SERVE, None)];
    followers.acknowledged("gw1", 50, 50, 0);
    followers.has_head(50);
    // Told of a change of before, late.
    followers.has_head(49);
    assert!(!followers.looked_at(50));
    assert!(followers.looked_at(40));
    assert!(!followers.looked_at(41));
    let applied = followers.applied(&one, 41, 0).0.to_string();
    assert_eq!(applied, "0/1; unreached=gw1");
}

#[test]
fn a_restored_backup_is_seen_whatever_was_changed_since() {
    let mut followers = Followers::default();
    let log = |head, uuid: &str| Log {
        head,
        tail: 1,
        uuid_at_follower: Some(uuid.to_owned()),
    };
    let word = Word {
        name: "gw1".to_owned(),
        kind: SERVE,
        incarnation: 1,
        at: Position::new(50, "before"),
    };
    let one = [registered("gw1", SERVE, None)];
    let heard = followers.hears(&word, Some(&one[0]), &log(50, "before"), 0);
    assert_eq!((heard, followers.highest()), (Heard::Stands, 50));
    assert!(!followers.compared(&log(51, "before")));
    assert!(followers.compared(&log(60, "after")));
    assert!(followers.applied(&one, 50, 0).1);
    assert_eq!(followers.highest(), 0);
}
