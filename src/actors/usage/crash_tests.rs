//! A process that ends while minutes are removed that were kept for long enough.

use std::path::Path;

use storage::crash_sweep::{Swept, sweep};
use storage::{Database, apim};

use super::intake::forget_before;
use super::tests::count;

struct Minutes(Database);

impl Swept for Minutes {
    const SWEPT: &'static [&'static str] = &["apim.usage.delete"];

    async fn open(directory: &Path) -> Self {
        let url = format!("sqlite:{}", directory.join("apim.db").display());
        Self(apim::open(&url).await.unwrap())
    }

    async fn prepare(&self) {
        let mut write = self.0.write("test.crashes").await.unwrap();
        let saved = apim::usage::save(&mut write, "gw1", 1, (1, 2), &[count(2)]);
        saved.await.unwrap();
        write.commit().await.unwrap();
    }

    async fn work(&self, _write: &str) {
        forget_before(&self.0, i64::MAX).await.unwrap();
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.read().await.unwrap();
        let minutes = apim::usage::list(&mut read, 0, i64::MAX, (0, 9)).await;
        vec![format!("{:?}", minutes.unwrap())]
    }
}

#[tokio::test]
async fn a_crash_while_old_minutes_are_removed_leaves_them_or_none() {
    let root = tempfile::tempdir().unwrap();
    let test = "usage::crash_tests::a_crash_while_old_minutes_are_removed_leaves_them_or_none";
    sweep::<Minutes>(test, root.path()).await.unwrap();
}
