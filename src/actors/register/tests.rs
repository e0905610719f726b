//! A voter over its Carbon.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{
    Agreed, AskError, Asking, BoxError, Clock, LogPlace, Register, RegisterLink, RegisterSeed,
    RegisterSettings, RegisterStore, RegisterTiming, Root, Sealing, Storing, System, Value,
    register, start_root,
};
use storage::Database;
use storage::carbon::{self, identity};

use super::CarbonRegister;

const ID: &str = "0190a5c2-7d1e-7b3a-9c44-1f2e3d4c5b6a";

/// All entries, one after another.
struct Words;

impl Value for Words {
    fn initial(&self) -> Vec<u8> {
        Vec::new()
    }

    fn apply(&self, value: &[u8], _: LogPlace, agreed: Agreed<'_>) -> Result<Vec<u8>, BoxError> {
        match agreed {
            Agreed::Entry(word) => Ok([value, word].concat()),
            Agreed::Voters(_) => Ok(value.to_vec()),
        }
    }

    fn check(&self, _: &[u8]) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Nobody else is there, and nothing is sealed.
struct Alone;

impl RegisterLink for Alone {
    fn ask<'a>(&'a self, _: &'a str, _: Vec<u8>, _: Duration) -> Asking<'a> {
        Box::pin(std::future::ready(Err(AskError::Unavailable)))
    }
}

impl Sealing for Alone {
    fn appended<'a>(&'a self, _: &'a [(LogPlace, Vec<u8>)]) -> Storing<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn installed<'a>(&'a self, _: LogPlace, _: &'a [u8]) -> Storing<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The node is in this cluster from now on.
pub(crate) async fn belong(carbon: &Database, cluster_id: &str) {
    let mut write = carbon.write("test.identity").await.unwrap();
    let id = || ID.to_owned();
    identity::raise(&mut write, "n1", 0, id).await.unwrap();
    let kept = identity::save_cluster(&mut write, cluster_id).await;
    kept.unwrap();
    write.commit().await.unwrap();
}

async fn start(directory: &Path, cluster_id: &str) -> Result<(Register, Root), BoxError> {
    let carbon = carbon::open(directory).await?;
    belong(&carbon, cluster_id).await;
    let settings = RegisterSettings {
        node: ID.to_owned(),
        value: Arc::new(Words),
        sealing: Arc::new(Alone),
        store: Arc::new(CarbonRegister::new(carbon, ID)),
        link: Arc::new(Alone),
        timing: RegisterTiming {
            entries: 8,
            ..RegisterTiming::default()
        },
    };
    let system = System::new(Clock::system(), true);
    let (register, child) = register(&system, "register", settings)?;
    Ok((register, start_root(&system, vec![child]).await?))
}

fn words(register: &Register) -> String {
    String::from_utf8(register.known().value.to_vec()).unwrap()
}

#[tokio::test]
async fn a_voter_knows_after_a_restart_what_it_knew_and_starts_on_no_other_clusters_promises() {
    let directory = tempfile::tempdir().unwrap();
    let (one, root) = start(directory.path(), "c1").await.unwrap();
    let seed = RegisterSeed {
        term: 65_536,
        value: b"-".to_vec(),
    };
    one.found(seed).await.unwrap();
    let mut changes = one.changes();
    let leads = changes.wait_for(|known| known.leads);
    let leads = tokio::time::timeout(Duration::from_secs(10), leads).await;
    leads.unwrap().unwrap();
    let mut places = Vec::new();
    // More than a snapshot's worth.
    for word in 'a'..='t' {
        places.push(one.propose(word.to_string().into_bytes()).await.unwrap());
    }
    assert!(places.is_sorted());
    root.stop(Duration::from_secs(10)).await;
    let (again, root) = start(directory.path(), "c1").await.unwrap();
    assert_eq!(words(&again), "-abcdefghijklmnopqrst");
    assert_eq!(again.known().at, places.last().copied());
    root.stop(Duration::from_secs(10)).await;
    let other = start(directory.path(), "c2").await.map(drop);
    let error = other.unwrap_err().to_string();
    assert!(error.contains("in cluster c1"), "{error}");
}

#[tokio::test]
async fn a_node_in_no_cluster_promises_nothing_and_one_that_hears_of_its_cluster_promises_there() {
    let directory = tempfile::tempdir().unwrap();
    let carbon = carbon::open(directory.path()).await.unwrap();
    let store = CarbonRegister::new(carbon.clone(), ID);
    let nothing = store.load().await.unwrap();
    let hasty = CarbonRegister {
        patience: Duration::from_millis(50),
        ..store.clone()
    };
    let refused = hasty.save_vote(b"vote".to_vec()).await.unwrap_err();
    assert!(refused.to_string().contains("no cluster yet"), "{refused}");
    assert_eq!(store.load().await.unwrap(), nothing);
    // It is told while somebody waits for its vote.
    let vote = store.save_vote(b"vote".to_vec());
    let (vote, ()) = tokio::join!(vote, belong(&carbon, "c1"));
    vote.unwrap();
    let kept = store.load().await.unwrap();
    assert_eq!(kept.vote.as_deref(), Some(b"vote".as_slice()));
    // What it promised in one cluster is nothing in another.
    belong(&carbon, "c2").await;
    let refused = store.load().await.unwrap_err().to_string();
    assert!(refused.contains("in cluster c1"), "{refused}");
    let refused = store.save_vote(b"more".to_vec()).await.unwrap_err();
    assert!(refused.to_string().contains("in cluster c1"), "{refused}");
}
