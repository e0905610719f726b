//! Who is admitted by a token while one of the databases is away.

use cluster::Member;
use storage::apim;

use super::*;

const SECRET: [u8; 32] = [7; 32];
const NODE: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn ask(token: &str) -> JoinAsk {
    JoinAsk {
        token: token.to_owned(),
        secret: SECRET,
        cluster: String::new(),
        id: NODE.to_owned(),
        name: "newcomer".to_owned(),
        roles: Vec::new(),
        request: Vec::new(),
    }
}

/// A node of the control plane with a good token, by whose API-M the newcomer was forgotten.
async fn admits(directory: &Path) -> Admits {
    let me = Member {
        id: "founder".to_owned(),
        incarnation: 1,
        life: 1,
        name: "founder".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    };
    let url = format!("sqlite:{}", directory.join("apim.db").display());
    let admits = Admits {
        authority: Authority::make("one").unwrap(),
        carbon: storage::carbon::open(directory).await.unwrap(),
        apim: apim::open(&url).await.unwrap(),
        cluster: Cluster::new(me),
        clock: Clock::system(),
    };
    let good = join_tokens::JoinToken {
        id: "good".to_owned(),
        secret_hash: JoinToken::hash(&SECRET),
        expires_ms: i64::MAX,
        roles: String::new(),
    };
    keep_token(&admits.carbon, &good, 1).await.unwrap();
    assert!(retires(&admits.apim).await);
    admits
}

/// Whether a word that was meant before the newcomer was admitted retires it.
async fn retires(apim: &Database) -> bool {
    let mut write = apim.write("test.retire").await.unwrap();
    let retired = retired_nodes::create(&mut write, NODE, 0, 1).await.unwrap();
    if retired {
        write.commit().await.unwrap();
    }
    retired
}

#[tokio::test]
async fn a_token_stays_good_while_it_cannot_be_written_down_that_its_node_is_a_member_again() {
    let dir = tempfile::tempdir().unwrap();
    let admits = admits(dir.path()).await;
    admits.apim.close().await;
    for _ in 0..2 {
        let refused = admits.admit(ask("good")).await.unwrap_err();
        assert_eq!(refused, NotAdmitted::Unavailable);
    }
    assert_eq!(admits.take(&ask("good")).await.unwrap(), Ok(()));
    let used = admits.take(&ask("good")).await.unwrap();
    assert_eq!(used, Err(NotAdmitted::Unknown));
}

#[tokio::test]
async fn a_good_token_alone_makes_a_node_that_was_forgotten_a_member_again() {
    let dir = tempfile::tempdir().unwrap();
    let admits = admits(dir.path()).await;
    let refused = admits.admit(ask("another")).await.unwrap_err();
    assert_eq!(refused, NotAdmitted::Unknown);
    assert!(is_retired(&admits.apim, NODE).await.unwrap());
    // What it asks to have signed is nothing that can be.
    let refused = admits.admit(ask("good")).await.unwrap_err();
    assert_eq!(refused, NotAdmitted::Malformed);
    assert!(!is_retired(&admits.apim, NODE).await.unwrap());
    // Nor is it forgotten by what was said before, and comes after.
    assert!(!retires(&admits.apim).await);
    assert!(!is_retired(&admits.apim, NODE).await.unwrap());
}
