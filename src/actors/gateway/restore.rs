//! What a follower starts from: what Carbon has, if this version understands all of it.

use cluster::{BoxError, Clock};
use domain::change::Change;
use domain::change_log::Position;
use domain::consumer::Said;
use storage::Database;
use storage::apim::tokens::REVOCATIONS_KEPT_MS;
use storage::carbon::projection as rows;

use super::consumers;
use super::projection::{Projection, tenant_of};
use super::state::State;

/// What Carbon had.
pub(super) struct Restored {
    /// Up to where the log was applied; the beginning where nothing was kept.
    pub(super) position: Position,
    /// How long ago that was noted, milliseconds; none where nothing was, or where nobody can tell.
    pub(super) age_ms: Option<i64>,
    pub(super) projection: Projection,
    /// The consumers that are known at that position.
    pub(super) said: Vec<Said>,
    /// Whether Carbon has what is not gone on from, and has to be emptied with the first change that is kept.
    pub(super) begins_anew: bool,
}

/// Reads it. A later version may have kept what this one does not understand, an ending of an access perhaps: then
/// nothing was kept, and the log is taken anew.
pub(super) async fn restore(carbon: &Database, clock: &Clock) -> Result<Restored, BoxError> {
    let mut read = carbon.read().await?;
    let applied = rows::applied(&mut read).await?;
    // Published only once complete: a restart must not make APIs vanish for a moment.
    let aside = State::new(clock.clone());
    let mut projection = Projection::new();
    // What is over by a clock that is ahead for a while may not be.
    let now_ms = clock.now_ms().saturating_sub(REVOCATIONS_KEPT_MS);
    for item in rows::list(&mut read, now_ms).await? {
        match serde_json::from_str::<Change>(&item.body) {
            Ok(change) => drop(projection.apply(tenant_of(&item.item), &change, &aside)),
            Err(error) => {
                tracing::warn!(
                    section = %item.section, %error,
                    "what was kept is of a later version, everything is taken anew"
                );
                return Ok(Restored {
                    position: Position::default(),
                    age_ms: None,
                    projection: Projection::new(),
                    said: Vec::new(),
                    begins_anew: true,
                });
            }
        }
    }
    let age_ms = applied
        .as_ref()
        .and_then(|applied| age_ms(applied.at_ms, clock.now_ms()));
    let position = applied.map(|applied| applied.position).unwrap_or_default();
    let said = consumers::read(&mut read, position.n).await?;
    Ok(Restored {
        position,
        age_ms,
        projection,
        said,
        begins_anew: false,
    })
}

/// How old what was noted then is; none where the clock stands before that: it was set back, by a day or by a year, and
/// what is of unknown age is not served by (S5).
fn age_ms(noted_at_ms: i64, now_ms: i64) -> Option<i64> {
    let age_ms = now_ms.saturating_sub(noted_at_ms);
    if age_ms < 0 {
        tracing::warn!(
            ahead_ms = -age_ms,
            "the clock stands before the time when the control plane was last heard of, so nobody can tell how old \
             what was kept is: no call is answered by it until a node of the control plane answers"
        );
        return None;
    }
    Some(age_ms)
}

/// Whether this version understands all of a piece of a snapshot.
pub(super) fn is_understood(changes: &[(String, String)]) -> bool {
    let understood = |text: &String| serde_json::from_str::<Change>(text).is_ok();
    changes.iter().all(|(_, text)| understood(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::carbon::projection::Item;

    #[tokio::test]
    async fn what_a_later_version_kept_is_not_gone_on_from() {
        let known = r#"{"kind":"user_changed","user":"ann","removed":true}"#;
        for (body, n) in [(known, 7), (r#"{"kind":"moon_phase"}"#, 0)] {
            let dir = tempfile::tempdir().unwrap();
            let carbon = storage::carbon::open(dir.path()).await.unwrap();
            let mut write = carbon.write("test.kept").await.unwrap();
            let item = Item {
                section: "user".to_owned(),
                item: "t:ann".to_owned(),
                body: body.to_owned(),
                until_ms: None,
            };
            rows::save(&mut write, &item).await.unwrap();
            let at = Position::new(7, "u7".to_owned());
            rows::save_applied(&mut write, &at, 1).await.unwrap();
            write.commit().await.unwrap();
            let restored = restore(&carbon, &Clock::system()).await.unwrap();
            assert_eq!(restored.position.n, n, "{body}");
            assert_eq!(restored.age_ms.is_some(), n > 0);
            assert_eq!(restored.begins_anew, n == 0);
        }
    }

    #[tokio::test]
    async fn what_was_kept_under_a_clock_that_was_set_back_since_is_of_no_known_age() {
        let dir = tempfile::tempdir().unwrap();
        let carbon = storage::carbon::open(dir.path()).await.unwrap();
        let clock = Clock::system();
        for (ago_ms, is_known) in [(5_000, true), (-60_000, false), (86_400_000, true)] {
            let mut write = carbon.write("test.kept").await.unwrap();
            let at = Position::new(7, "u7".to_owned());
            let at_ms = clock.now_ms() - ago_ms;
            rows::save_applied(&mut write, &at, at_ms).await.unwrap();
            write.commit().await.unwrap();
            let restored = restore(&carbon, &clock).await.unwrap();
            assert_eq!(restored.position, at);
            let age_ms = restored.age_ms;
            assert_eq!(age_ms.is_some(), is_known, "{ago_ms}");
            assert!(age_ms.is_none_or(|age_ms| age_ms >= ago_ms), "{age_ms:?}");
        }
    }

    #[test]
    fn a_piece_is_taken_if_all_of_it_is_understood() {
        let piece = |text: &str| vec![("t".to_owned(), text.to_owned())];
        assert!(is_understood(&[]));
        assert!(is_understood(&piece(
            r#"{"kind":"user_changed","user":"ann","removed":true}"#
        )));
        assert!(!is_understood(&piece(r#"{"kind":"moon_phase"}"#)));
    }
}
