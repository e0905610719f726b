//! Who is retired by a word that an operator may have meant long ago, or that a member makes up.

use std::path::Path;

use cluster::{Clock, Member, System, start_root};
use domain::view::Life;
use storage::{Database, apim};

use super::*;
use crate::agreed_view::{AgreedView, LookedUp, Nodes, Orders, claims};
use crate::traffic_manager::lone;

/// As nodes have them.
const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const THERE: &str = "0f8fad5b-d9cb-469f-a165-70867728950f";

async fn arguments(directory: &Path) -> ClaimsArguments {
    let url = format!("sqlite:{}", directory.join("apim.db").display());
    let apim = apim::open(&url).await.unwrap();
    ClaimsArguments::seeing(&apim, |node| node == THERE)
}

async fn asked(
    retirements: &mut Retirements,
    arguments: &ClaimsArguments,
    (node, admissions): (&str, Option<u64>),
) -> Retired {
    let node = node.to_owned();
    let asked = Retire { node, admissions };
    retirements.retire(arguments, &asked).await.unwrap()
}

async fn is_written(apim: &Database, node: &str) -> bool {
    let mut read = apim.read().await.unwrap();
    let found = retired_nodes::find(&mut read, node).await.unwrap();
    found.is_some()
}

async fn admit(apim: &Database, node: &str) {
    let mut write = apim.write("test.admit").await.unwrap();
    retired_nodes::delete(&mut write, node).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn a_word_that_comes_late_retires_no_node_that_was_admitted_since_it_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let (arguments, mut all) = (arguments(dir.path()).await, Retirements::default());
    let apim = &arguments.apim;
    let no = |admissions| Retired::No { admissions };
    let looked = asked(&mut all, &arguments, (ID, None)).await;
    assert_eq!((looked, is_written(apim, ID).await), (no(0), false));
    for _ in 0..2 {
        let said = asked(&mut all, &arguments, (ID, Some(0))).await;
        assert_eq!(said, Retired::Yes, "also said again");
    }
    let looked = asked(&mut all, &arguments, (ID, None)).await;
    assert_eq!((looked, is_written(apim, ID).await), (Retired::Yes, true));
    admit(apim, ID).await;
    let late = asked(&mut all, &arguments, (ID, Some(0))).await;
    assert_eq!((late, is_written(apim, ID).await), (no(1), false));
    let anew = asked(&mut all, &arguments, (ID, Some(1))).await;
    assert_eq!((anew, is_written(apim, ID).await), (Retired::Yes, true));
}

#[tokio::test]
async fn a_node_that_is_admitted_in_the_moment_of_a_word_for_it_stays_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = arguments(dir.path()).await;
    // It was looked up before.
    admit(&arguments.apim, ID).await;
    let said = write(&arguments, ID, 0).await.unwrap();
    assert_eq!(said, Retired::No { admissions: 1 });
    assert!(!is_written(&arguments.apim, ID).await);
}

#[tokio::test]
async fn no_word_retires_a_node_that_is_there_or_what_is_no_nodes_id() {
    let dir = tempfile::tempdir().unwrap();
    let (arguments, mut all) = (arguments(dir.path()).await, Retirements::default());
    let said = asked(&mut all, &arguments, (THERE, Some(0))).await;
    assert_eq!(said, Retired::IsThere);
    let long = "0".repeat(1 << 20);
    for node in [THERE, "tm1", "generation-1", "?", "", &long] {
        if node != THERE {
            let said = asked(&mut all, &arguments, (node, Some(0))).await;
            assert_eq!(said, Retired::NoNode);
        }
        assert!(!is_written(&arguments.apim, node).await);
    }
}

#[tokio::test]
async fn no_member_fills_the_database_with_words_for_nodes_that_never_were() {
    let dir = tempfile::tempdir().unwrap();
    let (arguments, mut all) = (arguments(dir.path()).await, Retirements::default());
    let node = |turn: u32| format!("0f8fad5b-d9cb-469f-a165-{turn:012x}");
    let mut retired = 0;
    for turn in 0..MOST + 10 {
        let said = asked(&mut all, &arguments, (&node(turn), Some(0))).await;
        retired += u32::from(said == Retired::Yes);
        assert!(said == Retired::Yes || said == Retired::TooMany, "{said:?}");
    }
    assert_eq!(retired, MOST);
    // Who is retired already costs nothing.
    let said = asked(&mut all, &arguments, (&node(0), Some(0))).await;
    assert_eq!(said, Retired::Yes);
}

#[tokio::test]
async fn whoever_orders_it_hears_why_a_node_is_not_retired_and_waits_while_it_is_seen_yet() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("apim.db").display());
    let apim = apim::open(&url).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (claims, child) = claims(&system, &apim, (&lone(THERE), false));
    let root = start_root(&system, vec![child]).await.unwrap();
    let nodes = Nodes::alone(Life::new(THERE, 1));
    let orders = Orders::new(&nodes, &AgreedView::new()).over(&claims, &system.clock);
    assert_eq!(orders.looked_up(ID).await, Ok(LookedUp::Admitted(0)));
    assert_eq!(orders.retire(ID, 0).await, Ok(()));
    assert_eq!(orders.looked_up(ID).await, Ok(LookedUp::Retired));
    admit(&apim, ID).await;
    let why = orders.retire(ID, 0).await.unwrap_err();
    assert_eq!(why, "it was admitted with a token meanwhile");
    assert_eq!(orders.looked_up(ID).await, Ok(LookedUp::Admitted(1)));
    let began = system.clock.monotonic();
    let why = orders.retire(THERE, 0).await.unwrap_err();
    assert_eq!(why, "a node of the control plane sees it yet");
    let waited = system.clock.monotonic().saturating_sub(began);
    assert!(waited > Duration::from_secs(1), "{waited:?}");
    assert!(orders.looked_up("tm1").await.is_err());
    root.stop(Duration::from_secs(5)).await;
}

#[test]
fn a_minute_later_as_many_nodes_may_be_retired_again() {
    let (mut all, second) = (Retirements::default(), Duration::from_secs(1));
    let now = WHILE * 7;
    let all_at = |all: &mut Retirements, now| (0..MOST).all(|_| all.may(now));
    assert!(all_at(&mut all, now));
    assert!(!all.may(now + WHILE - second));
    assert!(all_at(&mut all, now + WHILE));
    assert!(!all.may(now + WHILE));
}

#[test]
fn a_node_is_there_while_it_is_connected_though_it_is_silent_and_so_is_whoever_is_asked() {
    let me = Member {
        id: ID.to_owned(),
        incarnation: 1,
        life: 1,
        name: "cp1".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    };
    let cluster = Cluster::new(me.clone());
    assert!(sees(&cluster, ID) && !sees(&cluster, THERE));
    let of = |health, leaving| MemberState {
        member: me.clone(),
        health,
        leaving,
        since_ms: 0,
    };
    for leaving in [false, true] {
        let there = |health| is(&of(health, leaving), ID);
        assert!(there(Health::Up) && there(Health::Suspect));
        assert!(!there(Health::Down) && !there(Health::Unmet));
        assert!(!is(&of(Health::Up, leaving), THERE));
    }
}
