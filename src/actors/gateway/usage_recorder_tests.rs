//! The recorder over a real queue, while that can and cannot be written.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Clock, System, child, start_root};
use domain::usage::UsageEvent;
use storage::{apim, broker};

use super::usage_recorder::{Arguments, PATIENCE, Tally, UsageRecorder};
use crate::usage::{UsageSettings, component, intake_component};

const CALLS: u64 = 500;

fn call() -> UsageEvent {
    UsageEvent {
        method: "GET",
        tenant: "carbon.super".into(),
        api_id: "api".into(),
        status: 200,
        ..UsageEvent::default()
    }
}

#[tokio::test]
async fn while_the_queue_is_stuck_one_call_waits_and_afterwards_all_are_counted_even_by_another_recorder()
 {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("apim.db").display());
    let apim = apim::open(&url).await.unwrap();
    let broker = broker::open(dir.path()).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (intake, first) = intake_component(&system, &apim);
    let settings = UsageSettings::default();
    let (queue, second) = component(&system, &broker, &intake, "gw1", 1, settings);
    let (tally, inbox) = Tally::new();
    let arguments = Arguments {
        tally: Arc::clone(&tally),
        usage: queue,
        inbox,
    };
    let (_, third) = child::<UsageRecorder>(&system, "gateway/usage", arguments);
    let root = start_root(&system, vec![first, second, third]).await;
    let held = broker.write("test.hold").await.unwrap();
    let clock = &system.clock;
    let began = clock.monotonic();
    for _ in 0..CALLS {
        tally.begin().await;
        tally.record(call());
    }
    let took = clock.monotonic() - began;
    assert!(took < PATIENCE * 2, "each call waited: {took:?}");
    assert_eq!(tally.open(), 0);
    let until = clock.monotonic() + Duration::from_secs(30);
    while !tally.has_pending() {
        assert!(clock.monotonic() < until, "nothing is numbered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(system.registry.restart("gateway/usage"));
    drop(held);
    loop {
        let counts = intake.counts(0, 60_000).await.unwrap();
        let counted: u64 = counts.iter().map(|count| count.calls).sum();
        if counted == CALLS {
            break;
        }
        assert!(clock.monotonic() < until, "{counted} of {CALLS} counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut text = String::new();
    tally.write_metrics(&mut text);
    let told =
        format!("headgate_http_requests_total{{api=\"api\",method=\"GET\",code=\"200\"}} {CALLS}");
    assert!(text.contains(&told), "{text}");
    root.unwrap().stop(Duration::from_secs(5)).await;
    assert_eq!(intake.unknown().await.unwrap(), 0);
}

#[tokio::test]
async fn a_caller_who_leaves_before_there_is_a_number_is_no_open_call() {
    let (tally, _inbox) = Tally::new();
    // Nobody gives numbers.
    let waiting = tokio::time::timeout(Duration::from_millis(50), tally.begin());
    assert!(waiting.await.is_err());
    assert_eq!(tally.open(), 0);
    tally.begin().await;
    assert_eq!(tally.open(), 1, "one that went on without");
}
