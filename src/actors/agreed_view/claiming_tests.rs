//! Whoever founds the register is written down as a whole, or is not.

use std::path::Path;

use domain::view::{Before, Founding};
use storage::apim::{self, retired_nodes};
use storage::crash_sweep::{Swept, sweep};

use super::*;

/// As nodes have them.
const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn claim_of(node: &str, life: u64) -> Claim {
    Claim {
        node: node.to_owned(),
        name: node.to_owned(),
        life,
        counted_in: 0,
        known: 0,
        hold_ms: 60_000,
        watched: None,
    }
}

fn holder(node: &str, generation: u64, reach_ms: i64) -> HoldOn {
    HoldOn {
        node: node.to_owned(),
        name: node.to_owned(),
        life: 1,
        generation,
        others: Others::None,
        reach_ms,
        hold_ms: 60_000,
        leaves_from_ms: None,
    }
}

impl Swept for ClaimsActor {
    const SWEPT: &'static [&'static str] = &[
        "apim.view_register.claim",
        "apim.view_register.hold",
        "apim.view_register.give_up",
        "apim.view_register.share",
        "apim.retired_nodes.create",
    ];

    async fn open(directory: &Path) -> Self {
        let url = format!("sqlite:{}", directory.join("apim.db").display());
        let apim = apim::open(&url).await.unwrap();
        let arguments = ClaimsArguments::seeing(&apim, |_| false);
        Self(arguments, Retirements::default())
    }

    async fn prepare(&self) {}

    async fn work(&self, write: &str) {
        let apim = &self.0.apim;
        match write {
            "apim.view_register.claim" => {
                let claimed = claim(&self.0, &claim_of("a", 1)).await.unwrap();
                let first = Founding {
                    generation: 1,
                    before: Before::Nothing,
                };
                // Whoever was cut short is told the same.
                let is_first =
                    matches!(&claimed, Claimed::Yours { founding, .. } if *founding == first);
                assert!(is_first, "{claimed:?}");
            }
            "apim.view_register.hold" => {
                let held = hold(&self.0, &holder("a", 1, 70_000)).await.unwrap();
                assert_eq!(held, HeldOn::Until { reach_ms: 70_000 });
            }
            "apim.view_register.give_up" => {
                let watched = Some(find(&self.0).await.renewals);
                let node = "a".to_owned();
                let asked = GiveUp { node, watched };
                let founder = "a".to_owned();
                let given_up = give_up(&self.0, &asked).await.unwrap();
                assert_eq!(given_up, GivenUp::Yes { founder });
            }
            "apim.retired_nodes.create" => {
                let node = ID.to_owned();
                let admissions = Some(0);
                let asked = Retire { node, admissions };
                let retired = Retirements::default().retire(&self.0, &asked).await;
                assert_eq!(retired.unwrap(), Retired::Yes);
            }
            _ => {
                let asked = Share {
                    node: "a".to_owned(),
                    others: Others::Vote,
                };
                assert_eq!(share(apim, &asked).await.unwrap(), Shared::Yes);
            }
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut founder = find(&self.0).await;
        // When it was said differs from run to run.
        founder.said_at_ms = 0;
        let mut read = self.0.apim.read().await.unwrap();
        let retired = retired_nodes::find(&mut read, ID).await.unwrap();
        vec![format!("{founder:?} {}", retired.is_some())]
    }
}

#[tokio::test]
async fn a_crash_in_a_claim_leaves_it_made_or_not_made() {
    let root = tempfile::tempdir().unwrap();
    let test = "agreed_view::claiming::tests::a_crash_in_a_claim_leaves_it_made_or_not_made";
    sweep::<ClaimsActor>(test, root.path()).await.unwrap();
}

#[tokio::test]
async fn whoever_asks_second_hears_who_founded_the_register_and_who_decides() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ClaimsActor::open(dir.path()).await.0;
    let apim = &arguments.apim;
    let first = claim(&arguments, &claim_of("a", 1)).await.unwrap();
    assert!(matches!(first, Claimed::Yours { .. }), "{first:?}");
    let told = |others| Claimed::Others {
        name: "a".to_owned(),
        others,
        generation: 1,
    };
    let second = claim(&arguments, &claim_of("b", 1)).await.unwrap();
    assert_eq!(second, told(Others::None));
    let asked = |node: &str| Share {
        node: node.to_owned(),
        others: Others::Vote,
    };
    assert_eq!(share(apim, &asked("b")).await.unwrap(), Shared::No);
    assert_eq!(share(apim, &asked("a")).await.unwrap(), Shared::Yes);
    // A register that others decide on is never founded anew, not by the founder either.
    for node in ["a", "b"] {
        let claimed = claim(&arguments, &claim_of(node, 2)).await.unwrap();
        assert_eq!(claimed, told(Others::Vote));
    }
}

#[tokio::test]
async fn whoever_founded_over_a_file_of_its_own_pays_nothing_and_is_replaced_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ClaimsActor::open(dir.path()).await.0;
    let of = |node: &str, watched| Claim {
        name: "tm1".to_owned(),
        watched,
        ..claim_of(node, 1)
    };
    claim(&arguments, &of("cp", None)).await.unwrap();
    let written = find(&arguments).await;
    let held = hold(&arguments, &holder("cp", 1, 70_000)).await.unwrap();
    assert_eq!((held, &find(&arguments).await), (HeldOn::Free, &written));
    for watched in [None, Some(written.renewals)] {
        let claimed = claim(&arguments, &of("b", watched)).await.unwrap();
        assert!(matches!(claimed, Claimed::Others { .. }), "{claimed:?}");
    }
    // The node itself, when it lost all but this file.
    let again = ClaimsArguments {
        me: "b".to_owned(),
        ..arguments
    };
    let claimed = claim(&again, &of("b", None)).await.unwrap();
    assert!(matches!(claimed, Claimed::Yours { .. }), "{claimed:?}");
    let held = hold(&again, &holder("cp", 1, 70_000)).await.unwrap();
    let name = "tm1".to_owned();
    assert_eq!(held, HeldOn::Lost { name });
}

async fn find(arguments: &ClaimsArguments) -> Founder {
    let mut read = arguments.apim.read().await.unwrap();
    view_register::find(&mut read).await.unwrap()
}

#[tokio::test]
async fn no_word_gives_up_a_founder_that_says_that_it_is_there_or_that_is_asked_itself() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ClaimsArguments {
        is_own_file: false,
        ..ClaimsActor::open(dir.path()).await.0
    };
    claim(&arguments, &claim_of("a", 1)).await.unwrap();
    hold(&arguments, &holder("a", 1, 70_000)).await.unwrap();
    let asked = |node: &str, watched| GiveUp {
        node: node.to_owned(),
        watched,
    };
    let other = give_up(&arguments, &asked("b", None)).await.unwrap();
    assert_eq!(other, GivenUp::No);
    let written = find(&arguments).await;
    let seen = written.renewals;
    let watch = |renewals| GivenUp::Watch {
        renewals,
        for_ms: 5_000,
        founder: "a".to_owned(),
    };
    let looked = give_up(&arguments, &asked("a", None)).await.unwrap();
    assert_eq!((looked, &find(&arguments).await), (watch(seen), &written));
    hold(&arguments, &holder("a", 1, 73_000)).await.unwrap();
    let late = asked("a", Some(seen));
    let said = give_up(&arguments, &late).await.unwrap();
    assert_eq!(said, watch(seen + 1));
    assert!(!find(&arguments).await.is_given_up);
    // Whoever answers is there, whatever was seen of it.
    let itself = ClaimsArguments {
        me: "a".to_owned(),
        ..arguments.clone()
    };
    let silent = asked("a", Some(seen + 1));
    let there = give_up(&itself, &silent).await.unwrap();
    assert_eq!(there, GivenUp::There);
    let taken = give_up(&arguments, &silent).await.unwrap();
    let founder = "a".to_owned();
    assert_eq!(taken, GivenUp::Yes { founder });
}

#[tokio::test]
async fn whoever_gives_up_a_founder_by_its_name_hears_of_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ClaimsActor::open(dir.path()).await.0;
    let of = Claim {
        name: "tm1".to_owned(),
        ..claim_of("a", 1)
    };
    claim(&arguments, &of).await.unwrap();
    let asked = Share {
        node: "a".to_owned(),
        others: Others::Vote,
    };
    assert_eq!(share(&arguments.apim, &asked).await.unwrap(), Shared::Yes);
    let named = |watched| GiveUp {
        node: "tm1".to_owned(),
        watched,
    };
    let looked = give_up(&arguments, &named(None)).await.unwrap();
    let GivenUp::Watch {
        renewals, founder, ..
    } = looked
    else {
        panic!("{looked:?}");
    };
    assert_eq!(founder, "a");
    let given_up = give_up(&arguments, &named(Some(renewals))).await.unwrap();
    assert_eq!(given_up, GivenUp::Yes { founder });
}
