//! First parts to and from one member: the test is that member.

use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::spawn_named;
use domain::ledger::{CellImage, CellKey, Quota};
use domain::policy::TimeUnit;
use domain::view::Epoch;
use domain::window::WindowSpec;
use tokio::sync::Semaphore;

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn copy() -> Words {
    let epoch = Epoch::of_number(1);
    let after = Cursor::Begin;
    Words::Copy { epoch, after }
}

/// A part of about so many bytes.
fn part(bytes: usize) -> Box<ShardImage> {
    let window = WindowSpec::new(TimeUnit::Min, 1);
    let (key, quota) = (
        CellKey::new("t", "p", "k".repeat(bytes)),
        Quota { limit: 1, window },
    );
    let cell = CellImage::new(key, window.numbered(3), quota);
    Box::new(ShardImage {
        cells: vec![cell],
        ..ShardImage::default()
    })
}

fn copied(bytes: usize) -> ShardHeard {
    let words = Words::Copied {
        epoch: Epoch::of_number(1),
        after: Cursor::Begin,
        begun: None,
        image: part(bytes),
        next: None,
    };
    ShardHeard { words: vec![words] }
}

fn fill(bytes: usize) -> Words {
    Words::Fill {
        epoch: Epoch::of_number(1),
        after: Cursor::Begin,
        image: part(bytes),
        next: None,
    }
}

/// Says all of these at once to a member that answers only when it is told to.
struct Member {
    air: Air,
    said: Arc<AtomicUsize>,
    answers: Arc<Semaphore>,
}

// === impl Member ===

impl Member {
    fn new() -> Self {
        Self {
            air: Air::default(),
            said: Arc::default(),
            answers: Arc::new(Semaphore::new(0)),
        }
    }

    fn say(&self, words: &Words, times: usize, answer: Option<usize>) {
        for _ in 0..times {
            let (air, words) = (self.air.clone(), words.clone());
            let (said, answers) = (Arc::clone(&self.said), Arc::clone(&self.answers));
            spawn_named("says", async move {
                let room = air.room("b", &words, SOON).await;
                let room = room.expect("there is room in time");
                said.fetch_add(1, Ordering::SeqCst);
                answers.acquire().await.unwrap().forget();
                if let (Some(room), Some(bytes)) = (&room, answer) {
                    room.heard(&copied(bytes));
                }
            });
        }
    }

    /// How many were said, now that nothing more happens by itself.
    async fn said(&self) -> usize {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        self.said.load(Ordering::SeqCst)
    }

    async fn answer(&self, times: usize) -> usize {
        self.answers.add_permits(times);
        self.said().await
    }
}

#[tokio::test]
async fn large_first_parts_of_all_shards_are_in_the_air_half_a_mebibyte_at_a_time() {
    let member = Member::new();
    member.say(&copy(), 128, Some(32 * 1_024));
    let mut answered = 0;
    while answered < 128 {
        let in_the_air = member.said().await - answered;
        let bytes = in_the_air * 32 * 1_024;
        assert!(bytes > 0 && bytes <= 512 * 1_024, "{bytes}");
        answered += 1;
        member.answer(1).await;
    }
    // What it gives to a standby counts as what it is.
    let member = Member::new();
    member.say(&fill(100_000), 10, None);
    assert_eq!(member.said().await, 5);
    assert_eq!(member.answer(2).await, 7);
}

#[tokio::test]
async fn small_first_parts_of_all_shards_take_two_round_trips_and_not_one_each() {
    let member = Member::new();
    member.say(&copy(), 128, Some(200));
    assert_eq!(member.said().await, 16, "nothing is known of them yet");
    assert!(member.answer(16).await >= 16 + 100);
    // From then on one is enough.
    member.answer(112).await;
    member.say(&copy(), 256, Some(200));
    assert!(member.said().await >= 128 + 256);
    let member = Member::new();
    member.say(&fill(200), 256, None);
    assert_eq!(member.said().await, 256);
}

#[tokio::test]
async fn nothing_else_waits_behind_them_nor_anybody_for_ever() {
    let member = Member::new();
    member.say(&copy(), 128, None);
    assert_eq!(member.said().await, 16);
    let epoch = Epoch::of_number(1);
    let filled = Words::Filled { epoch, next: None };
    let room = |node: &'static str, words: Words| {
        let air = member.air.clone();
        async move { air.room(node, &words, Duration::from_millis(10)).await }
    };
    assert!(matches!(room("b", filled).await, Ok(None)));
    assert!(matches!(room("c", copy()).await, Ok(Some(_))), "another");
    assert!(room("b", copy()).await.is_err(), "it is given up");
}
