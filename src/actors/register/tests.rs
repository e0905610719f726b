//! A voter over its Carbon.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{
    Agreed, AskError, Asking, BoxError, Clock, LogPlace, Register, RegisterLink, RegisterSettings,
    RegisterTiming, Root, Sealing, Storing, System, Value, register, start_root,
};
use storage::carbon;

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

async fn start(directory: &Path, cluster_id: &str) -> Result<(Register, Root), BoxError> {
    let carbon = carbon::open(directory).await?;
    let settings = RegisterSettings {
        node: ID.to_owned(),
        value: Arc::new(Words),
        sealing: Arc::new(Alone),
        store: Arc::new(CarbonRegister::new(carbon, cluster_id, ID)),
        link: Arc::new(Alone),
        timing: RegisterTiming {
            entries: 8,
            ..RegisterTiming::default()
        },
    };
    let system = System::new(Clock::system(), false);
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
    one.found(&[ID.to_owned()]).await.unwrap();
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
    assert_eq!(words(&again), "abcdefghijklmnopqrst");
    assert_eq!(again.known().at, places.last().copied());
    root.stop(Duration::from_secs(10)).await;
    let other = start(directory.path(), "c2").await.map(drop);
    let error = other.unwrap_err().to_string();
    assert!(error.contains("in cluster c1"), "{error}");
}
