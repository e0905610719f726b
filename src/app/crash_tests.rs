//! A process that ends at any statement of what a node notes of its cluster and of who may join it.

use std::collections::BTreeSet;
use std::path::Path;

use cluster::{Authority, Clock, Cluster, JoinAsk, JoinToken, Member};
use storage::Database;
use storage::apim::{cluster_identity, retired_nodes};
use storage::carbon::join_tokens::JoinToken as Kept;
use storage::carbon::{identity, join_tokens, known_members};
use storage::crash_sweep::{Swept, sweep};

use super::{admission, issuer, membership, security};

const SECRET: [u8; 32] = [7; 32];
/// A day and more after the oldest token ended, milliseconds since the epoch.
const NOW_MS: i64 = 3 * 86_400_000;

struct Joining(Database);

fn token(id: &str, expires_ms: i64) -> Kept {
    Kept {
        id: id.to_owned(),
        secret_hash: JoinToken::hash(&SECRET),
        expires_ms,
        roles: String::new(),
    }
}

/// Somebody who shows a token.
fn ask(token: &str) -> JoinAsk {
    JoinAsk {
        token: token.to_owned(),
        secret: SECRET,
        cluster: String::new(),
        id: "newcomer".to_owned(),
        name: "newcomer".to_owned(),
        roles: Vec::new(),
        request: Vec::new(),
    }
}

fn admits(carbon: &Database, apim: &Database) -> admission::Admits {
    let me = Member {
        id: "founder".to_owned(),
        incarnation: 1,
        life: 1,
        name: "founder".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    };
    admission::Admits {
        authority: Authority::make("one").unwrap(),
        carbon: carbon.clone(),
        apim: apim.clone(),
        cluster: Cluster::new(me),
        clock: Clock::system(),
        turns: Default::default(),
    }
}

impl Swept for Joining {
    const SWEPT: &'static [&'static str] = &[
        "carbon.identity.save_cluster",
        "carbon.identity.save_issuer",
        "carbon.known_members.save",
        "carbon.join_tokens.create",
        "carbon.join_tokens.take",
    ];

    async fn open(directory: &Path) -> Self {
        Self(storage::carbon::open(directory).await.unwrap())
    }

    async fn prepare(&self) {
        let mut write = self.0.write("test.crashes").await.unwrap();
        let new_id = || "n1".to_owned();
        identity::raise(&mut write, "n1", 0, new_id).await.unwrap();
        let ended = token("ended", 1);
        join_tokens::create(&mut write, &ended, 1).await.unwrap();
        write.commit().await.unwrap();
    }

    async fn work(&self, write: &str) {
        match write {
            "carbon.identity.save_cluster" => {
                let noted = security::note_joined(&self.0, "one", "seed:1").await;
                noted.unwrap();
            }
            "carbon.identity.save_issuer" => issuer::keep(&self.0, "issuer").await.unwrap(),
            "carbon.known_members.save" => {
                let all = BTreeSet::from(["a:1".to_owned(), "b:1".to_owned()]);
                membership::keep_members(&self.0, &all).await.unwrap();
            }
            "carbon.join_tokens.create" => {
                let made = admission::keep_token(&self.0, &token("good", i64::MAX), NOW_MS).await;
                made.unwrap();
            }
            "carbon.join_tokens.take" => {
                let taken = admits(&self.0, &self.0).take(&ask("good"), NOW_MS).await;
                assert_eq!(taken.unwrap(), Ok(()));
            }
            other => panic!("nobody writes {other}"),
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.read().await.unwrap();
        let me = identity::find(&mut read).await.unwrap().unwrap();
        let mut state = known_members::list(&mut read).await.unwrap();
        drop(read);
        state.extend([me.cluster_id, me.issuer]);
        // Looked for within writes that leave no trace.
        for id in ["ended", "good"] {
            let mut write = self.0.write("test.looks").await.unwrap();
            let hash = JoinToken::hash(&SECRET);
            let found = join_tokens::take(&mut write, id, &hash, NOW_MS).await;
            state.push(format!("{id}: {:?}", found.unwrap()));
        }
        state
    }
}

/// API-M, as the first node of the control plane finds it.
struct Noting(Database);

impl Swept for Noting {
    const SWEPT: &'static [&'static str] = &[
        "apim.cluster_identity.ensure",
        "apim.cluster_identity.save_issuer",
        "apim.retired_nodes.delete",
    ];

    async fn open(directory: &Path) -> Self {
        let url = format!("sqlite:{}", directory.join("apim.db").display());
        Self(storage::apim::open(&url).await.unwrap())
    }

    async fn prepare(&self) {
        let mut write = self.0.write("test.crashes").await.unwrap();
        let retired = retired_nodes::create(&mut write, "a", 0, 1).await;
        assert!(retired.unwrap());
        write.commit().await.unwrap();
    }

    async fn work(&self, write: &str) {
        match write {
            "apim.cluster_identity.ensure" => {
                issuer::said(&self.0, "first").await.unwrap();
            }
            "apim.cluster_identity.save_issuer" => issuer::save(&self.0, "second").await.unwrap(),
            "apim.retired_nodes.delete" => admission::take_back(&self.0, "a").await.unwrap(),
            other => panic!("nobody writes {other}"),
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.read().await.unwrap();
        let noted = cluster_identity::find(&mut read).await.unwrap();
        let retired = retired_nodes::find(&mut read, "a").await.unwrap();
        let admissions = retired_nodes::find_admissions(&mut read, "a").await;
        let retired = (retired, admissions.unwrap());
        vec![noted.cluster_id, noted.issuer, format!("{retired:?}")]
    }
}

#[tokio::test]
async fn a_crash_at_any_statement_of_what_the_database_says_of_its_cluster_leaves_all_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let test = "app::crash_tests::\
                a_crash_at_any_statement_of_what_the_database_says_of_its_cluster_leaves_all_or_nothing";
    sweep::<Noting>(test, root.path()).await.unwrap();
}

#[tokio::test]
async fn a_crash_at_any_statement_of_who_is_in_the_cluster_leaves_all_of_it_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let test = "app::crash_tests::\
                a_crash_at_any_statement_of_who_is_in_the_cluster_leaves_all_of_it_or_nothing";
    sweep::<Joining>(test, root.path()).await.unwrap();
}
