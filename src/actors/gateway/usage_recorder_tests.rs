//! The recorder over a real queue, while that can and cannot be written.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor as _, Child, Clock, Root, System, child, start_root};
use domain::usage::UsageEvent;
use metrics_exporter_prometheus::PrometheusBuilder;
use storage::broker::usage::Reservation;
use storage::{Database, apim, broker};

use super::usage_recorder::{Arguments, PATIENCE, Tally, UsageRecorder};
use crate::usage::{
    RetentionSettings, UsageIntakeHandle, UsageSettings, component, intake_component,
};

const CALLS: u64 = 500;
const DEADLINE: Duration = Duration::from_secs(30);

fn call() -> UsageEvent {
    UsageEvent {
        method: "GET",
        tenant: "carbon.super".into(),
        api_id: "api".into(),
        status: 200,
        ..UsageEvent::default()
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    broker: Database,
    system: System,
    intake: UsageIntakeHandle,
    tally: Arc<Tally>,
    arguments: Arguments,
    children: Vec<Child>,
}

// === impl Bench ===

impl Bench {
    async fn new() -> Self {
        Self::with(UsageSettings::default()).await
    }

    async fn with(settings: UsageSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("apim.db").display());
        let apim = apim::open(&url).await.unwrap();
        let broker = broker::open(dir.path()).await.unwrap();
        let system = System::new(Clock::system(), true);
        let (intake, first) = intake_component(&system, &apim, RetentionSettings::days(1_000_000));
        let (usage, second) = component(&system, &broker, &intake, "gw1", 1, settings);
        let (tally, inbox) = Tally::new();
        let arguments = Arguments {
            tally: Arc::clone(&tally),
            usage,
            inbox,
        };
        Self {
            _dir: dir,
            broker,
            system,
            intake,
            tally,
            arguments,
            children: vec![first, second],
        }
    }

    /// Starts all with the recorder.
    async fn start(&mut self) -> Root {
        let mut children = std::mem::take(&mut self.children);
        let arguments = self.arguments.clone();
        children.push(child::<UsageRecorder>(&self.system, "gateway/usage", arguments).1);
        start_root(&self.system, children).await.unwrap()
    }

    async fn reservation(&self) -> Reservation {
        let mut read = self.broker.read().await.unwrap();
        let all = broker::usage::reservations(&mut read).await.unwrap();
        all.into_iter().next().unwrap()
    }

    fn received(&self, actor: &str) -> u64 {
        let report = self.system.registry.report(self.system.clock.monotonic());
        let actor = report.into_iter().find(|one| one.name == actor);
        actor.unwrap().received
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let until = self.system.clock.monotonic() + DEADLINE;
        while !holds().await {
            assert!(self.system.clock.monotonic() < until, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn counted(&self) -> u64 {
        let counts = self.intake.counts(0, 60_000, (0, 9)).await.unwrap();
        counts.iter().map(|count| count.calls).sum()
    }
}

#[tokio::test]
async fn while_the_queue_is_stuck_one_call_waits_and_afterwards_all_are_counted_even_by_another_recorder()
 {
    let mut bench = Bench::new().await;
    let root = bench.start().await;
    let tally = Arc::clone(&bench.tally);
    let held = bench.broker.write("test.hold").await.unwrap();
    let clock = &bench.system.clock;
    let began = clock.monotonic();
    for _ in 0..CALLS {
        tally.begin().await;
        tally.record(call());
    }
    let took = clock.monotonic() - began;
    assert!(took < PATIENCE * 2, "each call waited: {took:?}");
    assert_eq!(tally.open(), 0);
    bench.until("numbers", async || tally.has_pending()).await;
    assert!(bench.system.registry.restart("gateway/usage"));
    drop(held);
    bench
        .until("all counted", async || bench.counted().await == CALLS)
        .await;
    let mut text = String::new();
    tally.write_metrics(&mut text);
    let told =
        format!("headgate_http_requests_total{{api=\"api\",method=\"GET\",code=\"200\"}} {CALLS}");
    assert!(text.contains(&told), "{text}");
    root.stop(Duration::from_secs(5)).await;
    assert_eq!(bench.intake.unknown().await.unwrap(), 0);
}

#[tokio::test]
async fn an_idle_gateway_leaves_nothing_unknown_and_writes_nothing_until_it_is_called() {
    let mut bench = Bench::new().await;
    let root = bench.start().await;
    for calls in 0..2 {
        bench
            .until("nothing reserved", async || {
                let reservation = bench.reservation().await;
                reservation.recorded == calls && reservation.unknown() == 0
            })
            .await;
        let ticks = bench.received("gateway/usage");
        let writes = bench.received("usage/queue");
        bench
            .until("ten rounds", async || {
                bench.received("gateway/usage") >= ticks + 10
            })
            .await;
        assert_eq!(bench.received("usage/queue"), writes);
        assert_eq!(bench.reservation().await.unknown(), 0);
        bench.tally.begin().await;
        assert!(
            bench.reservation().await.unknown() > 0,
            "a call has no number"
        );
        bench.tally.record(call());
    }
    bench
        .until("all counted", async || bench.counted().await == 2)
        .await;
    root.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn calls_that_are_open_when_the_recorder_is_replaced_keep_their_numbers() {
    const OPEN: u64 = 400;
    let mut bench = Bench::new().await;
    let root = bench.start().await;
    for _ in 0..OPEN {
        bench.tally.begin().await;
    }
    assert!(bench.system.registry.restart("gateway/usage"));
    bench.tally.begin().await;
    bench.tally.record(call());
    bench
        .until("one recorded", async || {
            bench.reservation().await.recorded > 0
        })
        .await;
    let unknown = bench.reservation().await.unknown();
    assert!(unknown >= OPEN, "{OPEN} calls are open, {unknown} unknown");
    root.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn numbers_are_not_given_back_while_an_event_waits_for_one() {
    let mut bench = Bench::new().await;
    let arguments = bench.arguments.clone();
    let (me, _) = child::<UsageRecorder>(&bench.system, "gateway/usage", arguments.clone());
    let root = start_root(&bench.system, std::mem::take(&mut bench.children)).await;
    let mut recorder = UsageRecorder::start(arguments, me).await.unwrap();
    bench.tally.begin().await;
    recorder.flush().await.unwrap();
    // It ends after the recorder looked at what waits.
    bench.tally.record(call());
    recorder.give_back().await.unwrap();
    assert!(bench.reservation().await.unknown() > 0, "a crash loses it");
    recorder.flush().await.unwrap();
    recorder.give_back().await.unwrap();
    let reservation = bench.reservation().await;
    assert_eq!((reservation.recorded, reservation.unknown()), (1, 0));
    root.unwrap().stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_call_that_finds_no_room_on_disk_counts_as_dropped_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let mut bench = Bench::with(UsageSettings {
        most_batches: 0,
        ..UsageSettings::default()
    })
    .await;
    let root = bench.start().await;
    for _ in 0..7 {
        bench.tally.begin().await;
        bench.tally.record(call());
    }
    bench
        .until("all told as unknown", async || {
            bench.intake.unknown().await.unwrap() == 7
        })
        .await;
    let text = metrics.render();
    assert!(text.contains("headgate_usage_dropped_total 7\n"), "{text}");
    root.stop(Duration::from_secs(5)).await;
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

#[tokio::test]
async fn calls_that_did_not_end_before_the_stop_are_told_as_unknown() {
    let mut bench = Bench::new().await;
    let root = bench.start().await;
    for _ in 0..3 {
        bench.tally.begin().await;
    }
    bench.tally.record(call());
    bench.tally.record(call());
    root.stop(DEADLINE).await;
    let left = bench.reservation().await;
    assert!(left.closed, "{left:?}");
    assert_eq!((left.recorded, left.unknown()), (3, 1), "{left:?}");
}
