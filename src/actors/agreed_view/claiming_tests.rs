//! Whoever founds the register is written down as a whole, or is not.

use std::path::Path;

use domain::view::{Before, Founding};
use storage::apim;
use storage::crash_sweep::{Swept, sweep};

use super::*;

fn claim_of(node: &str, life: u64) -> Claim {
    Claim {
        node: node.to_owned(),
        name: node.to_owned(),
        life,
        counted_in: 0,
    }
}

impl Swept for ClaimsActor {
    const SWEPT: &'static [&'static str] =
        &["apim.view_register.claim", "apim.view_register.share"];

    async fn open(directory: &Path) -> Self {
        let url = format!("sqlite:{}", directory.join("apim.db").display());
        Self(ClaimsArguments {
            clock: Clock::system(),
            apim: apim::open(&url).await.unwrap(),
        })
    }

    async fn prepare(&self) {}

    async fn work(&self, write: &str) {
        let apim = &self.0.apim;
        match write {
            "apim.view_register.claim" => {
                let claimed = claim(apim, &claim_of("a", 1), 5).await.unwrap();
                let founding = Founding {
                    generation: 1,
                    before: Before::Nothing,
                };
                // Whoever was cut short is told the same.
                assert_eq!(
                    claimed,
                    Claimed::Yours {
                        founding,
                        now_ms: 5
                    }
                );
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
        let mut read = self.0.apim.read().await.unwrap();
        vec![format!(
            "{:?}",
            view_register::find(&mut read).await.unwrap()
        )]
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
    let ClaimsArguments { apim, .. } = ClaimsActor::open(dir.path()).await.0;
    let first = claim(&apim, &claim_of("a", 1), 5).await.unwrap();
    assert!(matches!(first, Claimed::Yours { .. }), "{first:?}");
    let told = |others| Claimed::Others {
        name: "a".to_owned(),
        others,
    };
    let second = claim(&apim, &claim_of("b", 1), 6).await.unwrap();
    assert_eq!(second, told(Others::None));
    let asked = |node: &str| Share {
        node: node.to_owned(),
        others: Others::Vote,
    };
    assert_eq!(share(&apim, &asked("b")).await.unwrap(), Shared::No);
    assert_eq!(share(&apim, &asked("a")).await.unwrap(), Shared::Yes);
    // A register that others decide on is never founded anew, not by the founder either.
    for node in ["a", "b"] {
        let claimed = claim(&apim, &claim_of(node, 2), 7).await.unwrap();
        assert_eq!(claimed, told(Others::Vote));
    }
}
