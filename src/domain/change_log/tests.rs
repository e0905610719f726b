//! The rules of C2, C3 and C4, one by one; `simulation` drives them all together.

use super::*;

fn position(n: u64) -> Position {
    if n == 0 {
        Position::default()
    } else {
        Position::new(n, format!("u{n}"))
    }
}

fn entries(from: u64, to: u64) -> Vec<Position> {
    (from..=to).map(position).collect()
}

fn step(follower: &mut Follower, input: Input<Position>) -> Vec<Effect<Position>> {
    follower.step(input, 0)
}

#[test]
fn a_hint_pulls_and_entries_are_applied_persisted_then_acknowledged() {
    let mut follower = Follower::resume(position(2), 0);
    assert_eq!(
        step(&mut follower, Input::HeadHint { n: 4 }),
        vec![Effect::Pull { after: position(2) }]
    );
    assert_eq!(
        step(&mut follower, Input::HeadHint { n: 4 }),
        vec![],
        "one pull at a time"
    );
    let effects = step(
        &mut follower,
        Input::Entries {
            after: position(2),
            entries: entries(3, 4),
            head: 4,
        },
    );
    let expected = vec![
        Effect::Apply(position(3)),
        Effect::Apply(position(4)),
        Effect::Persist { at: position(4) },
    ];
    assert_eq!(effects, expected);
    assert!(!follower.is_caught_up(), "not before it is durable");
    assert_eq!(follower.acknowledged(), 2);
    assert_eq!(
        step(&mut follower, Input::Persisted { at: position(4) }),
        vec![Effect::Acknowledge { n: 4 }]
    );
    assert!(follower.is_caught_up());
}

#[test]
fn a_repeated_answer_is_applied_once() {
    let mut follower = Follower::resume(position(0), 0);
    step(&mut follower, Input::HeadHint { n: 2 });
    let answer = Input::Entries {
        after: position(0),
        entries: entries(1, 2),
        head: 2,
    };
    assert_eq!(step(&mut follower, answer.clone()).len(), 3);
    assert_eq!(step(&mut follower, answer), vec![]);
    assert_eq!(follower.applied(), &position(2));
}

#[test]
fn entries_with_a_gap_lead_to_a_resync_and_nothing_beyond_the_gap_is_applied() {
    let mut follower = Follower::resume(position(0), 0);
    step(&mut follower, Input::HeadHint { n: 3 });
    let effects = step(
        &mut follower,
        Input::Entries {
            after: position(0),
            entries: vec![position(1), position(3)],
            head: 3,
        },
    );
    assert!(effects.contains(&Effect::Resync {
        reason: ResyncReason::Gap
    }));
    assert!(!effects.contains(&Effect::Apply(position(3))));
    assert_eq!(follower.applied(), &position(1));
}

#[test]
fn a_late_lower_hint_asks_the_log_and_changes_nothing_by_itself() {
    let mut follower = Follower::resume(position(5), 0);
    assert_eq!(
        step(&mut follower, Input::HeadHint { n: 3 }),
        vec![Effect::Pull { after: position(5) }]
    );
    assert_eq!(
        step(
            &mut follower,
            Input::Entries {
                after: position(5),
                entries: vec![],
                head: 5
            }
        ),
        vec![]
    );
    assert_eq!(follower.applied(), &position(5));
}

#[test]
fn a_restored_backup_replaces_everything_by_a_snapshot() {
    let mut follower = Follower::resume(position(5), 0);
    step(&mut follower, Input::HeadHint { n: 3 });
    let reason = ResyncReason::HeadBelow;
    let effects = step(
        &mut follower,
        Input::NeedsSnapshot {
            after: position(5),
            reason,
        },
    );
    assert_eq!(
        effects,
        vec![
            Effect::Resync { reason },
            Effect::PullSnapshot { transfer: 1 }
        ]
    );
    let chunk = |transfer, index| Input::SnapshotChunk { transfer, index };
    assert_eq!(
        step(&mut follower, chunk(9, 0)),
        vec![],
        "another transfer's chunk"
    );
    assert_eq!(
        step(&mut follower, chunk(1, 0)),
        vec![Effect::StoreChunk { index: 0 }]
    );
    assert_eq!(step(&mut follower, chunk(1, 2)), vec![]);
    let done = Input::SnapshotDone {
        transfer: 1,
        at: Position::new(3, "other"),
        chunks: 2,
    };
    assert_eq!(
        step(&mut follower, done.clone()),
        vec![],
        "a chunk is missing"
    );
    step(&mut follower, chunk(1, 1));
    let at = Position::new(3, "other");
    let expected = vec![
        Effect::InstallSnapshot { at: at.clone() },
        Effect::Persist { at: at.clone() },
        Effect::Pull { after: at.clone() },
    ];
    assert_eq!(step(&mut follower, done), expected);
    step(&mut follower, Input::Persisted { at });
    assert_eq!(follower.acknowledged(), 3);
}

#[test]
fn a_persistence_report_of_the_old_history_acknowledges_nothing() {
    let mut follower = Follower::resume(position(0), 0);
    step(&mut follower, Input::HeadHint { n: 2 });
    step(
        &mut follower,
        Input::Entries {
            after: position(0),
            entries: entries(1, 2),
            head: 3,
        },
    );
    step(
        &mut follower,
        Input::NeedsSnapshot {
            after: position(2),
            reason: ResyncReason::UuidMismatch,
        },
    );
    step(
        &mut follower,
        Input::SnapshotChunk {
            transfer: 1,
            index: 0,
        },
    );
    step(
        &mut follower,
        Input::SnapshotDone {
            transfer: 1,
            at: Position::new(4, "other"),
            chunks: 1,
        },
    );
    assert_eq!(
        step(&mut follower, Input::Persisted { at: position(2) }),
        vec![]
    );
    assert_eq!(follower.acknowledged(), 0);
}

#[test]
fn a_pull_without_an_answer_is_tried_again_with_growing_pauses() {
    let mut follower = Follower::resume(position(0), 0);
    let mut pulls = Vec::new();
    for now in (0..20_000).step_by(100) {
        if !follower.step::<Position>(Input::Tick, now).is_empty() {
            pulls.push(now);
        }
    }
    let pauses: Vec<i64> = pulls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses.windows(2).all(|pair| pair[0] <= pair[1]),
        "{pauses:?}"
    );
    assert_eq!(
        pauses.last(),
        Some(&3_000),
        "a second of patience and two of pause"
    );
}

#[test]
fn the_source_sends_entries_only_to_followers_of_its_own_history() {
    let log = |head, tail, uuid: Option<&str>| Log {
        head,
        tail,
        uuid_at_follower: uuid.map(str::to_owned),
    };
    let at = |n| position(n);
    let snapshot = |reason| Answer::Snapshot { reason };
    assert_eq!(answer(&log(0, 1, None), &at(0), 10), Answer::UpToDate);
    assert_eq!(
        answer(&log(7, 1, None), &at(0), 5),
        Answer::Entries { from: 1, to: 5 }
    );
    assert_eq!(
        answer(&log(7, 3, None), &at(0), 5),
        snapshot(ResyncReason::TooOld)
    );
    assert_eq!(answer(&log(7, 1, Some("u7")), &at(7), 5), Answer::UpToDate);
    assert_eq!(
        answer(&log(7, 4, Some("u4")), &at(4), 5),
        Answer::Entries { from: 5, to: 7 }
    );
    assert_eq!(
        answer(&log(7, 4, None), &at(3), 5),
        snapshot(ResyncReason::TooOld)
    );
    assert_eq!(
        answer(&log(7, 1, Some("x")), &at(4), 5),
        snapshot(ResyncReason::UuidMismatch)
    );
    assert_eq!(
        answer(&log(7, 1, None), &at(8), 5),
        snapshot(ResyncReason::HeadBelow)
    );
}

#[test]
fn a_snapshot_whose_pieces_keep_coming_is_not_begun_anew_however_long_it_takes() {
    let mut follower = Follower::resume(position(5), 0);
    step(&mut follower, Input::HeadHint { n: 3 });
    let reason = ResyncReason::TooOld;
    let after = position(5);
    step(&mut follower, Input::NeedsSnapshot { after, reason });
    let begun_anew = |effects: Vec<Effect<Position>>| {
        let anew = |effect: &Effect<Position>| matches!(effect, Effect::PullSnapshot { .. });
        effects.iter().any(anew)
    };
    for index in 0..100 {
        let now_ms = i64::from(index) * 4_000;
        let piece = Input::SnapshotChunk { transfer: 1, index };
        follower.step::<Position>(piece, now_ms);
        assert!(!begun_anew(follower.step(Input::Tick, now_ms + 3_900)));
    }
    assert!(begun_anew(follower.step(Input::Tick, 99 * 4_000 + 5_000)));
}

#[test]
fn what_is_still_asked_for_is_late_and_not_lost() {
    let mut follower = Follower::resume(position(5), 0);
    let at = |effects: Vec<Effect<Position>>, effect: &Effect<Position>| effects.contains(effect);
    let pull = Effect::Pull { after: position(5) };
    assert!(at(follower.step(Input::HeadHint { n: 900 }, 0), &pull));
    assert_eq!(follower.behind(), 895);
    for second in 1..20 {
        let after = position(5);
        follower.step::<Position>(Input::PullWaits { after }, second * 900);
        let ticked = follower.step(Input::Tick, second * 900 + 850);
        assert!(!at(ticked, &pull), "one pull at a time");
    }
    let another = Input::PullWaits { after: position(4) };
    follower.step::<Position>(another, 18_000);
    follower.step::<Position>(Input::Tick, 18_200);
    assert!(at(follower.step(Input::Tick, 20_400), &pull), "it is lost");

    let (after, reason) = (position(5), ResyncReason::TooOld);
    follower.step::<Position>(Input::NeedsSnapshot { after, reason }, 20_500);
    let anew = Effect::PullSnapshot { transfer: 2 };
    for second in 21..60 {
        let transfer = if second < 50 { 1 } else { 9 };
        follower.step::<Position>(Input::SnapshotWaits { transfer }, second * 1_000);
        let begun = at(follower.step(Input::Tick, second * 1_000 + 900), &anew);
        assert_eq!(
            begun,
            second == 54,
            "five seconds after the last word at {second}"
        );
    }
}

#[test]
fn a_reason_to_resync_is_read_back_from_its_word() {
    for reason in [
        ResyncReason::TooOld,
        ResyncReason::UuidMismatch,
        ResyncReason::HeadBelow,
        ResyncReason::Gap,
    ] {
        assert_eq!(ResyncReason::parse(reason.word()), Some(reason));
    }
    assert_eq!(ResyncReason::parse("of another version"), None);
}
