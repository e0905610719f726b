use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use ractor::ActorRef;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata};

use super::door::{member, way};
use super::*;
use crate::cluster::Cluster;
use crate::door::Door;
use crate::encode;
use crate::router::{Routed, Router};

/// What this thread's log has at WARN and above, a line each.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What a member that asks this gets.
async fn answer(router: &ActorRef<Routed>, bytes: Vec<u8>) -> Vec<u8> {
    let ask = |reply| Routed {
        bytes,
        reply,
        bears: Some(1),
    };
    let answer = router.call(ask, Some(SOON)).await.unwrap();
    answer.unwrap()
}

fn counted(cluster: &Cluster) -> (u64, u64) {
    let counters = cluster.counters();
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    (read(&counters.served), read(&counters.refused))
}

#[tokio::test]
async fn asks_that_are_malformed_newer_or_unknown_are_refused_counted_and_told_once_a_kind() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let (router, asked) = super::door::other(true).await;
    let cluster = Cluster::new(member("here"));
    let _asker = cluster.0.askers.admit(1, way(router));
    let door = Door::<Add>::answering(|add| add.0);
    cluster.serve(door);
    let router = Router::new(cluster.clone());
    let (router, _) = ractor::ActorRuntime::spawn(None, router, ()).await.unwrap();
    let good = encode(Add::KIND, Add::VERSION, &Add(3)).unwrap();
    let malformed = good[..good.len() - 1].to_vec();
    let newer = encode(Add::KIND, Add::VERSION + 9, &Add(3)).unwrap();
    let unknown = |kind| encode(kind, 1, &Add(3)).unwrap();
    for round in 1..=3 {
        assert_eq!(answer(&router, good.clone()).await.last(), Some(&0));
        for bad in [
            malformed.clone(),
            newer.clone(),
            unknown(7),
            unknown(8),
            Vec::new(),
        ] {
            assert_eq!(answer(&router, bad).await, [5], "it is told so");
        }
        assert_eq!(counted(&cluster), (round, 5 * round));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let told = lines.0.lock().unwrap().join("\n");
    let about = |ask: &str| told.matches(&format!("ask=\"{ask}\"")).count();
    assert_eq!((about("Add"), about("unknown")), (1, 1), "{told}");
}
