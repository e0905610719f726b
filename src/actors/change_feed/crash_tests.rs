//! A process that ends at any statement of what is written of followers, or removed of the log.

use std::path::Path;

use cluster::Clock;
use domain::change::Change;
use domain::serving_lease::{FollowerKind, WhenCutOff};
use storage::apim::{self, change_log, followers, snapshots};
use storage::crash_sweep::{Swept, sweep};

use super::SharedFollowers;
use super::message::{Heard, Heartbeat};
use super::pruner::PrunerArguments;
use super::registrar::{Registrar, RegistrarArguments};
use super::tests::{commit, user_changed};

const SERVE: FollowerKind = FollowerKind::Calls(WhenCutOff::Serve);
/// Longer than anybody may be silent, milliseconds.
const SILENT_MS: i64 = 60_000;

struct Following {
    registrar: Registrar,
    pruner: PrunerArguments,
}

fn heartbeat(leaves: bool) -> Heartbeat {
    Heartbeat {
        follower: "newcomer".to_owned(),
        incarnation: 1,
        kind: SERVE,
        n: 0,
        uuid: String::new(),
        leaves,
    }
}

impl Swept for Following {
    const SWEPT: &'static [&'static str] = &[
        "apim.followers.save",
        "apim.followers.leave",
        "apim.followers.fence",
        "apim.change_log.prune",
    ];

    async fn open(directory: &Path) -> Self {
        let url = format!("sqlite:{}", directory.join("apim.db").display());
        let apim = apim::open(&url).await.unwrap();
        let (clock, followers) = (Clock::system(), SharedFollowers::default());
        Self {
            registrar: Registrar {
                arguments: RegistrarArguments {
                    clock: clock.clone(),
                    apim: apim.clone(),
                    followers: SharedFollowers::clone(&followers),
                },
            },
            pruner: PrunerArguments {
                clock,
                apim,
                followers,
                retention: 1,
            },
        }
    }

    async fn prepare(&self) {
        let apim = &self.pruner.apim;
        let mut write = apim.write("test.crashes").await.unwrap();
        for name in ["gone", "silent", "silent too"] {
            let saved = followers::save(&mut write, name, SERVE, 1, 1).await;
            assert!(saved.unwrap());
        }
        assert!(followers::fence(&mut write, "gone", 1, 1).await.unwrap());
        write.commit().await.unwrap();
        let jwks = |set: &str| Change::VerificationKeysChanged {
            jwks: set.to_owned(),
        };
        // What only the log knows is kept when it goes.
        let changes = [jwks("{}"), jwks("{\"keys\":[]}"), user_changed("a")];
        commit(apim, &changes).await;
        commit(apim, &[user_changed("b"), user_changed("c")]).await;
    }

    async fn work(&self, write: &str) {
        let now_ms = super::boot_ms(&self.pruner.clock);
        match write {
            "apim.followers.save" => {
                let heard = self.registrar.register(&heartbeat(false)).await;
                assert!(matches!(heard, Ok(Heard::Head(_))));
            }
            "apim.followers.leave" => {
                let heard = self.registrar.leave(&heartbeat(true)).await;
                assert!(matches!(heard, Ok(Heard::Head(_))));
            }
            "apim.followers.fence" => {
                self.registrar.try_fence(now_ms + SILENT_MS).await.unwrap();
            }
            "apim.change_log.prune" => assert_eq!(self.pruner.prune().await.unwrap(), 3),
            other => panic!("nobody writes {other}"),
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.pruner.apim.read().await.unwrap();
        let registered = followers::list(&mut read).await.unwrap();
        let shown = registered.iter().map(|one| {
            let fenced = one.fenced_at_ms.is_some();
            format!("{} {} {fenced}", one.name, one.incarnation)
        });
        let mut state: Vec<String> = shown.collect();
        let log = change_log::find(&mut read, 0).await.unwrap();
        state.push(format!("{} to {}", log.tail, log.head));
        let mut beside = self.pruner.apim.read().await.unwrap();
        let keys = snapshots::Section::Keys;
        let keys = snapshots::list(&mut read, &mut beside, keys, &[], (9, 9_000), 0).await;
        state.push(format!("{:?}", keys.unwrap().items));
        state
    }
}

#[tokio::test]
async fn a_crash_at_any_statement_of_who_follows_and_of_the_logs_end_leaves_all_of_it_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let test = "change_feed::crash_tests::a_crash_at_any_statement_of_who_follows_and_of_the_logs_end_\
                leaves_all_of_it_or_nothing";
    sweep::<Following>(test, root.path()).await.unwrap();
}
