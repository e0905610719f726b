//! A process that ends while marks are removed whose windows are over.

use std::path::Path;

use domain::ledger::{CellKey, Mark, Stamp};
use domain::policy::TimeUnit;
use domain::window::WindowSpec;
use storage::Database;
use storage::broker::{self, ledger};
use storage::crash_sweep::{Swept, sweep};

use super::member::sweep as sweep_marks;

/// A moment in the second of the days that are marked.
const NOW_MS: i64 = 86_400_000 + 500;

struct Marks(Database);

impl Swept for Marks {
    const SWEPT: &'static [&'static str] = &["broker.ledger.sweep"];

    async fn open(directory: &Path) -> Self {
        Self(broker::open(directory).await.unwrap())
    }

    async fn prepare(&self) {
        let mut write = self.0.write("test.crashes").await.unwrap();
        let marks = [500, NOW_MS].map(|t_ms| {
            let window = WindowSpec::new(TimeUnit::Day, 1).at(t_ms);
            Mark {
                cell: CellKey::new("t", "p", format!("k{t_ms}")),
                window: window.id,
                end_ms: window.end_ms,
                used: 1,
                stamp: Stamp { epoch: 1, seq: 1 },
                forgiven: 0,
            }
        });
        ledger::save(&mut write, 0, &marks).await.unwrap();
        write.commit().await.unwrap();
    }

    async fn work(&self, _write: &str) {
        sweep_marks(&self.0, NOW_MS).await.unwrap();
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.read().await.unwrap();
        let marks = ledger::list(&mut read, 0, 0).await.unwrap();
        marks.iter().map(|mark| format!("{mark:?}")).collect()
    }
}

#[tokio::test]
async fn a_crash_while_old_marks_are_removed_leaves_them_or_none() {
    let root = tempfile::tempdir().unwrap();
    let test =
        "traffic_manager::crash_tests::a_crash_while_old_marks_are_removed_leaves_them_or_none";
    sweep::<Marks>(test, root.path()).await.unwrap();
}
