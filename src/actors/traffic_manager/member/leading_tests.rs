//! Where others vote with the founder of the register, or did: that whoever leads them says so, and who takes their place.

use super::*;
use crate::agreed_view::holder;

/// Whoever is chosen to vote may be no traffic manager, and the database may be set back to before that was written down.
#[tokio::test]
async fn a_node_that_does_not_count_says_that_others_vote_where_it_leads_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    founded
        .members
        .join(NAMES[0], 1, &dir.path().join("one"))
        .await;
    founded.members.wait_for(&NAMES[..1]).await;
    assert_eq!(founded.row().await.others, Others::None);
    let (_, one) = &founded.members.all[0];
    let system = System::new(founded.members.system.clock.clone(), true);
    let arguments = FounderArguments {
        nodes: founded.members.nodes.seen_by(Life::new(NAMES[0], 1)),
        name: "cp".to_owned(),
        counts: false,
        register: founded.register(NAMES[0]),
        counted_in: None,
        has_seeds: false,
        agreed: one.agreed.clone(),
        claims: founded.claims.clone(),
        carbon: one.carbon.clone(),
        cover: Cover::whole(),
        hold: founded.members.hold,
        is_asked_here: false,
    };
    let root = start_root(&system, vec![holder(&system, arguments)])
        .await
        .unwrap();
    let began = system.clock.monotonic();
    while founded.row().await.others != Others::Vote {
        assert!(system.clock.monotonic() - began < DEADLINE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    root.stop(DEADLINE).await;
    founded.stop().await;
}

/// As one that was chosen to vote alone out of several, or most of them.
#[tokio::test]
async fn those_that_voted_are_replaced_by_whoever_has_nothing_once_an_operator_gives_them_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    founded.members.hold = Duration::from_secs(3);
    let keys = with_five_granted(&mut founded, &dir.path().join("one")).await;
    founded.claims.share(NAMES[0], Others::Vote).await.unwrap();
    let clock = founded.members.system.clock.clone();
    let waits = Nodes::alone(Life::new(NAMES[1], 1));
    let orders = Orders::new(&waits, &AgreedView::new()).over(&founded.claims, &clock);
    // They are known by the founder's name, and say that they are there.
    for named in [NAMES[0], "tm1"] {
        let refused = orders.give_up_founder(named).await.unwrap_err();
        assert!(matches!(refused, NotAgreed::FounderIsThere(_)), "{refused}");
    }
    founded.members.stop_all().await;
    let founder = Ok(Some(NAMES[0].to_owned()));
    assert_eq!(orders.founder("tm1").await, founder, "not the name");
    let claimed = founded.claim(NAMES[1], "tm1", 1).await;
    assert!(matches!(claimed, Claimed::Others { .. }), "{claimed:?}");
    founded.give_up("tm1").await;
    let empty = dir.path().join("two");
    let another = (NAMES[1], "another");
    founded.members.join_as(another, 1, &empty).await;
    founded.members.wait_for(&NAMES[1..2]).await;
    assert_eq!(founded.view().entries >> 40, 2);
    for key in &keys {
        let got = founded.members.drain(NAMES[1], "gw2", key, 40).await;
        assert_eq!(got, 0, "{key:?}");
    }
    founded.stop().await;
}
