//! Usage from a gateway's queue to API-M, over files: counted once, lost nothing, unknown told.

use std::path::Path;
use std::time::Duration;

use cluster::{Clock, Root, System, start_root};
use domain::usage::{Histogram, UsageCount};
use storage::{Database, apim, broker};

use super::intake::{BATCH, forget_before};
use super::message::DeliverUsage;
use super::{
    RetentionSettings, UsageHandle, UsageIntakeHandle, UsageSettings, component, intake_component,
};

const DEADLINE: Duration = Duration::from_secs(20);
const ALL: (u32, u32) = (0, 10_000);
/// These tests count at the beginning of time.
const FOR_EVER: RetentionSettings = RetentionSettings::days(1_000_000);

struct Node {
    system: System,
    apim: Database,
    broker: Database,
    usage: UsageHandle,
    intake: UsageIntakeHandle,
    root: Root,
}

async fn node(dir: &Path, incarnation: u64, most_batches: u64) -> Node {
    let url = format!("sqlite:{}", dir.join("apim.db").display());
    let apim = apim::open(&url).await.unwrap();
    let broker = broker::open(dir).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (intake, intake_child) = intake_component(&system, &apim, FOR_EVER);
    let settings = UsageSettings {
        most_batches,
        ..UsageSettings::default()
    };
    let (usage, child) = component(&system, &broker, &intake, "gw1", incarnation, settings);
    let root = start_root(&system, vec![intake_child, child])
        .await
        .unwrap();
    Node {
        system,
        apim,
        broker,
        usage,
        intake,
        root,
    }
}

pub(super) fn count(calls: u64) -> UsageCount {
    let mut latency = Histogram::default();
    (0..calls).for_each(|_| latency.record(150));
    UsageCount {
        minute_ms: 60_000,
        tenant: "carbon.super".to_owned(),
        api_id: "api".to_owned(),
        application_id: String::new(),
        status: 200,
        calls,
        forwarded: calls,
        bytes_in: 0,
        bytes_out: 10 * calls,
        latency,
    }
}

async fn calls(node: &Node) -> u64 {
    let counts = node.intake.counts(0, 120_000, ALL).await.unwrap();
    let in_histograms: u64 = counts.iter().flat_map(|count| &count.latency.counts).sum();
    let calls = counts.iter().map(|count| count.calls).sum();
    assert_eq!(in_histograms, calls);
    calls
}

/// Waits until everything is delivered and settled.
async fn delivered(node: &Node, incarnations: usize) {
    let until = node.system.clock.monotonic() + DEADLINE;
    loop {
        let mut read = node.broker.read().await.unwrap();
        let waiting = broker::usage::oldest(&mut read, 1, 0).await.unwrap();
        let unsettled = broker::usage::reservations(&mut read).await.unwrap();
        drop(read);
        if waiting.is_empty() && unsettled.len() <= incarnations {
            return;
        }
        assert!(
            node.system.clock.monotonic() < until,
            "not delivered in time"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_recorded_is_counted_once_whatever_is_repeated_or_killed() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1, 100).await;
    assert_eq!(node.usage.reserve(100).await.unwrap(), (1, 100));
    for (first, last) in [(1, 10), (11, 20), (21, 40)] {
        let counts = vec![count(last + 1 - first)];
        assert!(
            node.usage
                .record((first, last), counts.clone(), 0)
                .await
                .unwrap()
                .kept
        );
        // The answer was lost: the recorder repeats.
        assert!(
            node.usage
                .record((first, last), counts, 0)
                .await
                .unwrap()
                .kept
        );
        for actor in ["usage/delivery", "usage/queue", "usage-intake"] {
            assert!(node.system.registry.restart(actor));
        }
        tokio::task::yield_now().await;
    }
    delivered(&node, 1).await;
    assert_eq!(calls(&node).await, 40);
    assert_eq!(node.intake.unknown().await.unwrap(), 0);
    // A batch that was taken before comes again.
    let again = DeliverUsage {
        node: "gw1".to_owned(),
        incarnation: 1,
        first: 21,
        last: 40,
        counts: vec![count(20)],
    };
    assert_eq!(node.intake.deliver(again).await, Some(40));
    assert_eq!(calls(&node).await, 40);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_crash_between_record_and_delete_counts_once_and_the_rest_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let first = node(dir.path(), 1, 100).await;
    first.usage.reserve(50).await.unwrap();
    first
        .usage
        .record((1, 30), vec![count(30)], 0)
        .await
        .unwrap();
    delivered(&first, 1).await;
    first.root.stop(DEADLINE).await;
    // API-M has it, but the crash came before it left the queue.
    let batch = broker::usage::Batch {
        incarnation: 1,
        first: 1,
        last: 30,
        counts: vec![count(30)],
    };
    let mut write = first.broker.write("test.again").await.unwrap();
    broker::usage::settle(&mut write, 1).await.unwrap();
    broker::usage::reserve(&mut write, 1, 50).await.unwrap();
    let room = UsageSettings::default().room();
    broker::usage::create(&mut write, &batch, room)
        .await
        .unwrap();
    write.commit().await.unwrap();

    let second = node(dir.path(), 2, 100).await;
    delivered(&second, 0).await;
    assert_eq!(calls(&second).await, 30);
    assert_eq!(second.intake.unknown().await.unwrap(), 20);
    second.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn nothing_is_unknown_after_a_release_or_an_orderly_close() {
    let dir = tempfile::tempdir().unwrap();
    let first = node(dir.path(), 1, 100).await;
    first.usage.reserve(50).await.unwrap();
    first.usage.record((1, 5), vec![count(5)], 0).await.unwrap();
    first.usage.release(5).await.unwrap();
    assert_eq!(first.usage.reserve(10).await.unwrap(), (6, 15));
    first.usage.release(5).await.unwrap();
    first.root.stop(DEADLINE).await;
    let second = node(dir.path(), 2, 100).await;
    second.usage.reserve(50).await.unwrap();
    second
        .usage
        .record((1, 5), vec![count(5)], 0)
        .await
        .unwrap();
    second.usage.close().await.unwrap();
    second.root.stop(DEADLINE).await;
    let third = node(dir.path(), 3, 100).await;
    delivered(&third, 0).await;
    assert_eq!(calls(&third).await, 10);
    assert_eq!(third.intake.unknown().await.unwrap(), 0);
    third.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn what_a_full_queue_drops_is_told_as_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1, 0).await;
    node.usage.reserve(50).await.unwrap();
    assert!(
        !node
            .usage
            .record((1, 7), vec![count(7)], 0)
            .await
            .unwrap()
            .kept
    );
    let until = node.system.clock.monotonic() + DEADLINE;
    while node.intake.unknown().await.unwrap() != 7 {
        assert!(node.system.clock.monotonic() < until, "not told in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(calls(&node).await, 0);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn numbers_that_are_in_no_count_of_their_batch_are_told_as_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1, 100).await;
    node.usage.reserve(50).await.unwrap();
    let recorded = node.usage.record((1, 10), vec![count(7)], 0).await.unwrap();
    assert!(recorded.kept);
    let until = node.system.clock.monotonic() + DEADLINE;
    while node.intake.unknown().await.unwrap() != 3 {
        assert!(node.system.clock.monotonic() < until, "not told in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    delivered(&node, 1).await;
    assert_eq!(calls(&node).await, 7);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn minutes_that_were_kept_for_long_enough_are_removed_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1, 100).await;
    let mut write = node.apim.write("test.usage").await.unwrap();
    let many = i64::from(BATCH) + 10;
    let counts: Vec<UsageCount> = (0..many)
        .map(|minute| UsageCount {
            minute_ms: minute * 60_000,
            ..count(1)
        })
        .collect();
    let numbers = (1, counts.len() as u64);
    apim::usage::save(&mut write, "gw1", 1, numbers, &counts)
        .await
        .unwrap();
    write.commit().await.unwrap();
    let kept_from = (many - 3) * 60_000;
    forget_before(&node.apim, kept_from).await.unwrap();
    let kept = node.intake.counts(0, i64::MAX, ALL).await.unwrap();
    let kept: Vec<i64> = kept.iter().map(|count| count.minute_ms).collect();
    assert_eq!(kept, [kept_from, kept_from + 60_000, kept_from + 120_000]);
    let part = node.intake.counts(0, i64::MAX, (1, 1)).await.unwrap();
    assert_eq!(part.len(), 1);
    assert_eq!(part[0].minute_ms, kept_from + 60_000);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_long_queue_grows_within_its_last_batch_and_every_call_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let room = UsageSettings {
        most_batches: 140,
        join_from: 1,
        join_counts: 3,
    };
    let room = room.room();
    let broker = broker::open(dir.path()).await.unwrap();
    let mut write = broker.write("test.queue").await.unwrap();
    broker::usage::reserve(&mut write, 1, 10_000).await.unwrap();
    // Control plane away: three calls a batch, in a minute that changes after each hundredth.
    for number in 0..900_u64 {
        let counts = vec![UsageCount {
            minute_ms: i64::try_from(number / 100).unwrap() * 60_000,
            ..count(3)
        }];
        let batch = broker::usage::Batch {
            incarnation: 1,
            first: 3 * number + 1,
            last: 3 * number + 3,
            counts,
        };
        for _ in 0..2 {
            let kept = broker::usage::create(&mut write, &batch, room).await;
            assert!(kept.unwrap(), "batch {number} was dropped");
        }
    }
    write.commit().await.unwrap();
    let mut read = broker.read().await.unwrap();
    let waiting = broker::usage::waiting(&mut read).await.unwrap();
    assert!((128..=132).contains(&waiting), "{waiting} batches");
    // None that a delivery may have taken ever changed.
    let oldest = broker::usage::oldest(&mut read, 128, u32::MAX).await;
    let mut first = oldest.unwrap().into_iter().take(127);
    assert!(first.all(|batch| batch.last + 1 - batch.first == 3));
    drop(read);
    broker.close().await;
    let node = node(dir.path(), 1, 140).await;
    delivered(&node, 1).await;
    let counts = node.intake.counts(0, i64::MAX, ALL).await.unwrap();
    let calls: Vec<u64> = counts.iter().map(|count| count.calls).collect();
    assert_eq!(calls, [300; 9]);
    assert_eq!(node.intake.unknown().await.unwrap(), 0);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_delivery_is_bounded_whatever_waits() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker::open(dir.path()).await.unwrap();
    let mut write = broker.write("test.queue").await.unwrap();
    broker::usage::reserve(&mut write, 1, 10_000).await.unwrap();
    for number in 0..10_u64 {
        // As many applications as there are calls.
        let counts = (0..500).map(|application| UsageCount {
            application_id: format!("{application:036}"),
            api_id: format!("{number:036}"),
            ..count(1)
        });
        let batch = broker::usage::Batch {
            incarnation: 1,
            first: 500 * number + 1,
            last: 500 * number + 500,
            counts: counts.collect(),
        };
        let room = UsageSettings::default().room();
        broker::usage::create(&mut write, &batch, room)
            .await
            .unwrap();
    }
    write.commit().await.unwrap();
    let mut read = broker.read().await.unwrap();
    let batches = broker::usage::oldest(&mut read, 64, 512 * 1_024)
        .await
        .unwrap();
    let counts: usize = batches.iter().map(|batch| batch.counts.len()).sum();
    assert!((1_000..=2_500).contains(&counts), "{counts} counts");
    // One goes in any case, or nothing would ever.
    let one = broker::usage::oldest(&mut read, 64, 1).await.unwrap();
    assert_eq!(one.len(), 1);
    drop(read);
    broker.close().await;
    let node = node(dir.path(), 1, 100).await;
    delivered(&node, 1).await;
    assert_eq!(calls(&node).await, 5_000);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_batch_of_nothing_but_different_calls_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1, 100).await;
    node.usage.reserve(10_000).await.unwrap();
    // As much as the recorder joins, all texts at their longest, the last two found no room.
    let counts = (0..8_190_u64).map(|number| UsageCount {
        tenant: "t".repeat(100),
        api_id: format!("{number:036}"),
        application_id: format!("{number:036}"),
        ..count(1)
    });
    let recorded = node.usage.record((1, 8_192), counts.collect(), 0).await;
    assert!(recorded.unwrap().kept);
    delivered(&node, 1).await;
    assert_eq!(calls(&node).await, 8_190);
    let until = node.system.clock.monotonic() + DEADLINE;
    while node.intake.unknown().await.unwrap() != 2 {
        assert!(node.system.clock.monotonic() < until, "not told in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.root.stop(DEADLINE).await;
}
