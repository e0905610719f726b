//! A process that ends at any statement of what the follower writes beside the changes.

use std::path::Path;
use std::sync::Mutex;

use domain::change_log::Position;
use domain::consumer::Said;
use domain::known_consumers::KnownConsumers;
use storage::Database;
use storage::carbon::projection::{self, Item};
use storage::crash_sweep::{Swept, sweep};

use super::consumers::{self, MOST};
use super::follower;
use super::local_tests::granted;

/// A year after the beginning, milliseconds.
const NOW_MS: i64 = 365 * 86_400_000;

struct Beside(Database);

impl Beside {
    async fn consumers(&self) -> Vec<Said> {
        let mut read = self.0.read().await.unwrap();
        consumers::read(&mut read, 9).await.unwrap()
    }
}

impl Swept for Beside {
    const SWEPT: &'static [&'static str] = &["carbon.consumers.save", "carbon.projection.sweep"];

    async fn open(directory: &Path) -> Self {
        Self(storage::carbon::open(directory).await.unwrap())
    }

    async fn prepare(&self) {
        let mut write = self.0.write("test.crashes").await.unwrap();
        for (item, until_ms) in [("over", Some(1)), ("good", None)] {
            let item = Item {
                section: "artifact".to_owned(),
                item: item.to_owned(),
                body: "{}".to_owned(),
                until_ms,
            };
            projection::save(&mut write, &item).await.unwrap();
        }
        let at = Position::new(1, "one".to_owned());
        projection::save_applied(&mut write, &at, 1).await.unwrap();
        write.commit().await.unwrap();
    }

    async fn work(&self, write: &str) {
        match write {
            "carbon.consumers.save" => {
                let mut known = KnownConsumers::new(MOST);
                for (key, said_at_ms) in [("old", 1), ("first", NOW_MS), ("second", NOW_MS)] {
                    known.learn(&granted(key, "shop"), 5, said_at_ms);
                }
                consumers::save(&self.0, &Mutex::new(known)).await.unwrap();
            }
            "carbon.projection.sweep" => {
                let at = Position::new(1, "one".to_owned());
                follower::sweep(&self.0, Some(&at), NOW_MS).await.unwrap();
            }
            other => panic!("nobody writes {other}"),
        }
    }

    async fn state(&self) -> Vec<String> {
        let said = self.consumers().await;
        let keys = said.iter().map(|said| said.consumer.consumer_key.clone());
        let mut state: Vec<String> = keys.collect();
        state.sort_unstable();
        let mut read = self.0.read().await.unwrap();
        let applied = projection::applied(&mut read).await.unwrap();
        let items = projection::list(&mut read, 0).await.unwrap();
        state.push(format!("{applied:?} {}", items.len()));
        state
    }
}

#[tokio::test]
async fn a_crash_at_any_statement_of_whom_a_gateway_knows_leaves_all_of_it_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let test = "gateway::crash_tests::\
                a_crash_at_any_statement_of_whom_a_gateway_knows_leaves_all_of_it_or_nothing";
    sweep::<Beside>(test, root.path()).await.unwrap();
}
