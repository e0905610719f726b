//! Properties of C2 to C4: whatever is said to a follower in whatever order, and whatever a database holds.

use proptest::prelude::*;

use super::*;

/// The length of the one history that a follower is told about.
const LENGTH: u64 = 20;

/// What a follower is told; numbers beyond the history are taken modulo its length.
#[derive(Debug, Clone)]
enum Told {
    Hint(u64),
    /// The answer to a pull after `0`, with so many entries: now, late or for the second time.
    Entries(u64, u64),
    Persisted(u64),
    Failed,
    Pass(i64),
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        2 => (0..=LENGTH).prop_map(Told::Hint),
        4 => (0..LENGTH, 0..5u64).prop_map(|(after, count)| Told::Entries(after, count)),
        3 => (0..=LENGTH).prop_map(Told::Persisted),
        1 => Just(Told::Failed),
        2 => (1..3_000i64).prop_map(Told::Pass),
    ]
}

fn at(n: u64) -> Position {
    if n == 0 {
        Position::default()
    } else {
        Position::new(n, format!("u{n}"))
    }
}

fn input(told: &Told, now_ms: &mut i64) -> Input<Position> {
    match told {
        Told::Hint(n) => Input::HeadHint { n: *n },
        Told::Entries(after, count) => Input::Entries {
            after: at(*after),
            entries: (after + 1..=(after + count).min(LENGTH)).map(at).collect(),
            head: LENGTH,
        },
        Told::Persisted(n) => Input::Persisted { at: at(*n) },
        Told::Failed => Input::PullFailed,
        Told::Pass(ms) => {
            *now_ms += ms;
            Input::Tick
        }
    }
}

/// A log of `head` entries kept from `tail` on, as the database tells a follower about it.
fn log(head: u64, tail: u64, uuid_of: impl Fn(u64) -> String, follower: u64) -> Log {
    let kept = follower >= tail && follower <= head && follower > 0;
    Log {
        head,
        tail,
        uuid_at_follower: kept.then(|| uuid_of(follower)),
    }
}

proptest! {
    #[test]
    fn entries_apply_once_in_order_and_only_what_is_persisted_is_acknowledged(
        all in prop::collection::vec(told(), 1..100),
        start in 0..LENGTH,
    ) {
        let mut follower = Follower::resume(at(start), 0);
        let (mut now_ms, mut applied, mut asked) = (0, start, vec![at(start)]);
        let mut pulls = 0;
        for told in all {
            let input = input(&told, &mut now_ms);
            let reported = match &input {
                Input::Persisted { at } => Some(at.clone()),
                _ => None,
            };
            let answers = matches!(&input, Input::Entries { after, .. } if *after == at(applied));
            let gives_up = matches!(input, Input::PullFailed | Input::Tick);
            if answers || gives_up {
                pulls = 0;
            }
            for effect in follower.step(input, now_ms) {
                match effect {
                    Effect::Apply(entry) => {
                        applied += 1;
                        prop_assert_eq!(entry, at(applied));
                    }
                    Effect::Persist { at: position } => {
                        prop_assert_eq!(&position, &at(applied));
                        asked.push(position);
                    }
                    Effect::Acknowledge { n } => {
                        prop_assert_eq!(reported.clone(), Some(at(n)));
                        prop_assert!(asked.contains(&at(n)));
                    }
                    Effect::Pull { after } => {
                        pulls += 1;
                        prop_assert_eq!(after, at(applied));
                        prop_assert!(pulls <= 1, "one pull at a time");
                    }
                    other => prop_assert!(false, "one history needs no {:?}", other),
                }
            }
            prop_assert_eq!(follower.applied(), &at(applied));
            prop_assert!(follower.acknowledged() <= applied);
        }
    }

    #[test]
    fn a_source_sends_the_next_entries_of_its_own_history_or_a_snapshot(
        head in 0..30u64,
        pruned in 0..30u64,
        n in 0..35u64,
        fork in 0..30u64,
        limit in 0..10u64,
    ) {
        // The follower's history and the source's are the same up to `fork`.
        let tail = pruned.min(head) + 1;
        let uuid_of = |n: u64| if n <= fork { format!("u{n}") } else { format!("v{n}") };
        let log = log(head, tail, uuid_of, n);
        match answer(&log, &at(n), limit) {
            Answer::UpToDate => prop_assert!(n == head && (n <= fork || n == 0)),
            Answer::Entries { from, to } => {
                prop_assert_eq!(from, n + 1);
                prop_assert!(from <= to && to <= head && from >= tail);
                prop_assert!(to - n <= limit.max(1));
                prop_assert!(n <= fork, "another history");
            }
            Answer::Snapshot { reason } => {
                let expected = if n > head {
                    ResyncReason::HeadBelow
                } else if n < tail && (n > 0 || tail > 1) {
                    ResyncReason::TooOld
                } else {
                    ResyncReason::UuidMismatch
                };
                prop_assert_eq!(reason, expected);
            }
        }
    }

    #[test]
    fn a_snapshot_arrives_whole_and_in_order_whatever_is_lost_repeated_or_overtaken(
        chunks in 1..40u32,
        came in prop::collection::vec(0..40u32, 0..200),
    ) {
        let mut receiver = Follower::resume(Position::default(), 0);
        let pull = receiver.step::<Position>(Input::HeadHint { n: 9 }, 0);
        prop_assert_eq!(pull.len(), 1);
        let needs = Input::NeedsSnapshot { after: Position::default(), reason: ResyncReason::TooOld };
        receiver.step::<Position>(needs, 0);
        let mut stored = Vec::new();
        // Whatever comes first, then what is missing, in order.
        for index in came.into_iter().filter(|index| *index < chunks).chain(0..chunks) {
            for effect in receiver.step::<Position>(Input::SnapshotChunk { transfer: 1, index }, 0) {
                if let Effect::StoreChunk { index } = effect {
                    stored.push(index);
                }
            }
        }
        prop_assert_eq!(stored, (0..chunks).collect::<Vec<_>>());
    }
}
