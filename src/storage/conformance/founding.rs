//! Who founds the view register, where two ask at the same moment.

use domain::view::{Claimant, Founder, Founding, Hold, Holder, Others, Verdict};

use super::{Fresh, everywhere};
use crate::apim::view_register;

fn by(node: &str, watched: Option<u64>) -> Claimant<'_> {
    Claimant {
        node,
        name: "tm1",
        life: 1,
        counted_in: 0,
        known: 0,
        hold_ms: 60_000,
        watched,
        has_the_file: false,
        moment_ms: 0,
    }
}

fn claimed(founder: &mut Founder, node: &str) -> Option<Founding> {
    match founder.claim(&by(node, None)) {
        Verdict::Yours { founding, .. } => Some(founding),
        Verdict::Held | Verdict::Others => None,
    }
}

async fn claim(fresh: &Fresh, node: &str) -> Option<Founding> {
    let mut write = fresh.apim.write("test.claim").await.unwrap();
    let mut founder = view_register::lock(&mut write).await.unwrap();
    let founding = claimed(&mut founder, node)?;
    view_register::save(&mut write, &founder).await.unwrap();
    write.commit().await.unwrap();
    Some(founding)
}

async fn found(fresh: &Fresh) -> Founder {
    let mut read = fresh.apim.read().await.unwrap();
    view_register::find(&mut read).await.unwrap()
}

#[tokio::test]
async fn of_two_that_claim_the_view_register_at_once_one_founds_it() {
    everywhere(async |fresh| {
        let nobody = Founder {
            hold_ms: 86_400_000,
            ..Founder::default()
        };
        assert_eq!(found(&fresh).await, nobody);
        let mut first = fresh.apim.write("test.claim").await.unwrap();
        let mut founder = view_register::lock(&mut first).await.unwrap();
        claimed(&mut founder, "a").unwrap();
        let other = claim(&fresh, "b");
        let committed = async {
            fresh.until_one_waits().await;
            view_register::save(&mut first, &founder).await.unwrap();
            first.commit().await.unwrap();
        };
        let (other, ()) = tokio::join!(other, committed);
        assert_eq!(other, None);
        assert_eq!(found(&fresh).await, founder);
    })
    .await;
}

#[tokio::test]
async fn what_is_written_of_the_founder_is_read_as_it_was() {
    everywhere(async |fresh| {
        for (others, is_scattered) in [
            (Others::None, true),
            (Others::Own, false),
            (Others::Vote, true),
        ] {
            let founder = Founder {
                generation: 3,
                node: "b".to_owned(),
                name: "tm1".to_owned(),
                life: 7,
                before: "a".to_owned(),
                is_scattered,
                others,
                renewals: 9,
                reach_ms: 70_000,
                after_ms: 60_000,
                hold_ms: 86_400_000,
                is_given_up: is_scattered,
                is_anybodys: others == Others::Own,
                said_ms: 50_000,
                said_at_ms: 40_000,
            };
            let mut write = fresh.apim.write("test.claim").await.unwrap();
            view_register::save(&mut write, &founder).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(found(&fresh).await, founder);
        }
    })
    .await;
}

/// The founder says that it is there at the moment at which another takes its place: one of the two is written down.
#[tokio::test]
async fn of_a_founder_that_says_that_it_is_there_and_one_that_takes_its_place_at_once_one_has_it() {
    everywhere(async |fresh| {
        claim(&fresh, "a").await.unwrap();
        let watched = Some(found(&fresh).await.renewals);
        let holder = Holder {
            node: "a",
            name: "tm1",
            life: 1,
            generation: 1,
            others: Others::None,
            t_ms: 10_000,
            reach_ms: 70_000,
            hold_ms: 60_000,
            leaves_from_ms: None,
            moment_ms: 0,
        };
        let mut first = fresh.apim.write("test.claim").await.unwrap();
        let mut founder = view_register::lock(&mut first).await.unwrap();
        assert_eq!(founder.hold(&holder), Hold::Until(70_000));
        let taken = async {
            let mut write = fresh.apim.write("test.claim").await.unwrap();
            let mut founder = view_register::lock(&mut write).await.unwrap();
            founder.claim(&by("b", watched))
        };
        let committed = async {
            fresh.until_one_waits().await;
            view_register::save(&mut first, &founder).await.unwrap();
            first.commit().await.unwrap();
        };
        let (taken, ()) = tokio::join!(taken, committed);
        assert_eq!(taken, Verdict::Held);
        assert_eq!(found(&fresh).await, founder);
    })
    .await;
}
