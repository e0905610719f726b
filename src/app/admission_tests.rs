//! Who is admitted by a token, and who is not: while one of the databases is away, and of two that show it at a time.

use cluster::{Member, NewKey};
use storage::apim;

use super::*;

const SECRET: [u8; 32] = [7; 32];
const NODE: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const OTHER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

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
        turns: Default::default(),
    };
    let good = join_tokens::JoinToken {
        id: "good".to_owned(),
        secret_hash: JoinToken::hash(&SECRET),
        expires_ms: i64::MAX,
        roles: String::new(),
    };
    keep_token(&admits.carbon, &good, 1).await.unwrap();
    assert!(retires(&admits.apim, NODE).await);
    admits
}

/// One whose request is one.
fn ask_of(id: &str, token: &str) -> JoinAsk {
    JoinAsk {
        id: id.to_owned(),
        request: NewKey::generate().unwrap().request().unwrap(),
        ..ask(token)
    }
}

/// Whether a word that was meant before the newcomer was admitted retires it.
async fn retires(apim: &Database, node: &str) -> bool {
    let mut write = apim.write("test.retire").await.unwrap();
    let retired = retired_nodes::create(&mut write, node, 0, 1).await.unwrap();
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
        let refused = admits.admit(ask_of(NODE, "good")).await.unwrap_err();
        assert_eq!(refused, NotAdmitted::Unavailable);
    }
    assert_eq!(admits.take(&ask("good"), 1).await.unwrap(), Ok(()));
    let used = admits.take(&ask("good"), 1).await.unwrap();
    assert_eq!(used, Err(NotAdmitted::Unknown));
}

#[tokio::test]
async fn a_good_token_alone_makes_a_node_that_was_forgotten_a_member_again() {
    let dir = tempfile::tempdir().unwrap();
    let admits = admits(dir.path()).await;
    // Nor does a good one of a node that asks to have signed what is nothing that can be.
    for (asked, reason) in [
        (ask_of(NODE, "another"), NotAdmitted::Unknown),
        (ask("good"), NotAdmitted::Malformed),
    ] {
        let refused = admits.admit(asked).await.unwrap_err();
        assert_eq!(refused, reason);
        assert!(is_retired(&admits.apim, NODE).await.unwrap());
    }
    admits.admit(ask_of(NODE, "good")).await.unwrap();
    assert!(!is_retired(&admits.apim, NODE).await.unwrap());
    // Nor is it forgotten by what was said before, and comes after.
    assert!(!retires(&admits.apim, NODE).await);
    assert!(!is_retired(&admits.apim, NODE).await.unwrap());
}

#[tokio::test]
async fn of_two_nodes_that_show_one_token_at_a_time_nothing_is_written_for_the_one_that_is_refused()
{
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let admits = admits(dir.path()).await;
        assert!(retires(&admits.apim, OTHER).await);
        let (first, second) = tokio::join!(
            admits.admit(ask_of(NODE, "good")),
            admits.admit(ask_of(OTHER, "good")),
        );
        assert_ne!(first.is_ok(), second.is_ok());
        for (answer, id) in [(first, NODE), (second, OTHER)] {
            let is_refused = answer
                .as_ref()
                .is_err_and(|reason| *reason == NotAdmitted::Unknown);
            assert_ne!(is_refused, answer.is_ok());
            let is_forgotten = is_retired(&admits.apim, id).await.unwrap();
            assert_eq!(is_forgotten, is_refused, "{id}");
            // Nor is it counted as admitted: what was said of it before still counts.
            assert_eq!(retires(&admits.apim, id).await, is_refused, "{id}");
        }
    }
}

#[tokio::test]
async fn who_hangs_with_one_token_holds_up_no_other_and_who_is_cut_leaves_its_token_good() {
    let dir = tempfile::tempdir().unwrap();
    let admits = admits(dir.path()).await;
    {
        let _turn = admits.turns.of("good").await;
        let refused = admits.admit(ask_of(NODE, "another")).await.unwrap_err();
        assert_eq!(refused, NotAdmitted::Unknown);
        let later = admits.admit(ask_of(NODE, "good")).await.unwrap_err();
        assert_eq!(later, NotAdmitted::Unavailable);
        let other = join_tokens::JoinToken {
            id: "goodx".to_owned(),
            secret_hash: JoinToken::hash(&SECRET),
            expires_ms: i64::MAX,
            roles: String::new(),
        };
        keep_token(&admits.carbon, &other, 1).await.unwrap();
        assert!(admits.admit(ask_of(OTHER, "goodx")).await.is_ok());
    }
    let held = admits.apim.write("test.hold").await.unwrap();
    let cut = timeout(PATIENCE / 10, admits.admit(ask_of(NODE, "good"))).await;
    assert!(cut.is_err(), "API-M is held");
    let later = admits.admit(ask_of(NODE, "good")).await.unwrap_err();
    assert_eq!(later, NotAdmitted::Unavailable);
    drop(held);
    assert!(admits.admit(ask_of(NODE, "good")).await.is_ok());
}
