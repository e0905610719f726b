//! How long marks are kept.

use domain::change::MarkedSubject;

use super::{TENANT, everywhere};
use crate::apim::revocations::{self, Mark};

#[tokio::test]
async fn a_mark_is_kept_as_long_as_tokens_were_ever_to_live() {
    everywhere(async |fresh| {
        let mark = |before_ms| Mark {
            tenant: TENANT.to_owned(),
            subject: MarkedSubject::Login,
            subject_id: "ann".to_owned(),
            before_ms,
            until_ms: 5_000,
        };
        let mut write = fresh.apim.write("test.lives").await.unwrap();
        let none = revocations::save_mark(&mut write, &mark(1)).await;
        assert_eq!(none.unwrap(), 5_000);
        for (seconds, kept) in [(3, 5_000), (90, 90_002), (60, 90_003)] {
            let said = revocations::raise_longest_life(&mut write, seconds).await;
            said.unwrap();
            let before_ms = if seconds == 60 { 3 } else { 2 };
            let until = revocations::save_mark(&mut write, &mark(before_ms)).await;
            assert_eq!(until.unwrap(), kept, "{seconds}");
        }
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let stored = revocations::list_marks(&mut read, 0).await.unwrap();
        let stored: Vec<_> = stored.iter().map(|mark| mark.until_ms).collect();
        assert_eq!(stored, [90_003]);
    })
    .await;
}
