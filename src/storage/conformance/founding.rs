//! Who founds the view register, where two ask at the same moment.

use domain::view::{Founder, Founding, Others};

use super::{Fresh, everywhere};
use crate::apim::view_register;

async fn claim(fresh: &Fresh, node: &str) -> Option<Founding> {
    let mut write = fresh.apim.write("test.claim").await.unwrap();
    let mut founder = view_register::lock(&mut write).await.unwrap();
    let founding = founder.claim((node, node), 1, 0)?;
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
        assert_eq!(found(&fresh).await, Founder::default());
        let mut first = fresh.apim.write("test.claim").await.unwrap();
        let mut founder = view_register::lock(&mut first).await.unwrap();
        founder.claim(("a", "a"), 1, 0).unwrap();
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
            };
            let mut write = fresh.apim.write("test.claim").await.unwrap();
            view_register::save(&mut write, &founder).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(found(&fresh).await, founder);
        }
    })
    .await;
}
