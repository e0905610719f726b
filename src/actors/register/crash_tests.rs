//! A voter that ends in the middle of a promise has made it or has not.

use std::path::Path;

use cluster::RegisterStore;
use storage::carbon;
use storage::crash_sweep::{Swept, sweep};

use super::CarbonRegister;
use super::tests::belong;

impl Swept for CarbonRegister {
    const SWEPT: &'static [&'static str] = &[
        "carbon.register.vote",
        "carbon.register.append",
        "carbon.register.committed",
        "carbon.register.snapshot",
        "carbon.register.purge",
        "carbon.register.truncate",
    ];

    async fn open(directory: &Path) -> Self {
        Self::new(carbon::open(directory).await.unwrap(), "n1")
    }

    async fn prepare(&self) {
        belong(&self.carbon, "c1").await;
        self.append(vec![(0, b"0".to_vec())]).await.unwrap();
    }

    async fn work(&self, write: &str) {
        let made = match write {
            "carbon.register.vote" => self.save_vote(b"vote".to_vec()),
            "carbon.register.append" => {
                self.append((1..4).map(|n| (n, n.to_string().into_bytes())).collect())
            }
            "carbon.register.committed" => self.save_committed(b"two".to_vec()),
            "carbon.register.snapshot" => self.save_snapshot(b"value".to_vec()),
            "carbon.register.purge" => self.purge(1, b"one".to_vec()),
            _ => self.truncate(3),
        };
        made.await.unwrap();
    }

    async fn state(&self) -> Vec<String> {
        vec![format!("{:?}", self.load().await.unwrap())]
    }
}

#[tokio::test]
async fn a_crash_in_a_promise_leaves_it_made_or_not_made() {
    let root = tempfile::tempdir().unwrap();
    let test = "register::crash_tests::a_crash_in_a_promise_leaves_it_made_or_not_made";
    sweep::<CarbonRegister>(test, root.path()).await.unwrap();
}
