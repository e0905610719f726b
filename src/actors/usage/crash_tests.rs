//! A process that ends while usage is let go of: minutes that were kept for long enough, and numbers
//! that were reserved and not used.

use std::path::Path;

use storage::broker::usage as queued;
use storage::crash_sweep::{Swept, sweep};
use storage::{Database, apim, broker};

use super::UsageSettings;
use super::intake::{forget_before, note_kept_time};
use super::queue::{Queue, QueueArguments};
use super::tests::count;

struct Kept {
    apim: Database,
    queue: Queue,
}

impl Swept for Kept {
    const SWEPT: &'static [&'static str] = &[
        "apim.usage.delete",
        "apim.usage.note_kept_time",
        "broker.usage.release",
    ];

    async fn open(directory: &Path) -> Self {
        let url = format!("sqlite:{}", directory.join("apim.db").display());
        let arguments = QueueArguments {
            broker: broker::open(directory).await.unwrap(),
            incarnation: 1,
            room: UsageSettings::default().room(),
        };
        Self {
            apim: apim::open(&url).await.unwrap(),
            queue: Queue { arguments },
        }
    }

    async fn prepare(&self) {
        let mut write = self.apim.write("test.crashes").await.unwrap();
        let counts = [count(2)];
        let saved = apim::usage::save(&mut write, "gw1", 1, (1, 2), &counts);
        saved.await.unwrap();
        write.commit().await.unwrap();
        let broker = &self.queue.arguments.broker;
        let mut write = broker.write("test.crashes").await.unwrap();
        queued::reserve(&mut write, 1, 9).await.unwrap();
        write.commit().await.unwrap();
    }

    async fn work(&self, write: &str) {
        match write {
            "apim.usage.delete" => forget_before(&self.apim, i64::MAX).await.unwrap(),
            "apim.usage.note_kept_time" => note_kept_time(&self.apim, 5).await.unwrap(),
            "broker.usage.release" => self.queue.release(5).await.unwrap(),
            other => panic!("nobody writes {other}"),
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.apim.read().await.unwrap();
        let minutes = apim::usage::list(&mut read, 0, i64::MAX, (0, 9)).await;
        let noted = apim::usage::kept_time(&mut read).await.unwrap();
        let mut read = self.queue.arguments.broker.read().await.unwrap();
        let reserved = queued::reservations(&mut read).await;
        vec![
            format!("{:?} {noted:?}", minutes.unwrap()),
            format!("{:?}", reserved.unwrap()),
        ]
    }
}

#[tokio::test]
async fn a_crash_while_usage_is_let_go_of_leaves_all_of_it_or_none() {
    let root = tempfile::tempdir().unwrap();
    let test = "usage::crash_tests::a_crash_while_usage_is_let_go_of_leaves_all_of_it_or_none";
    sweep::<Kept>(test, root.path()).await.unwrap();
}
