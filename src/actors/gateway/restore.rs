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
    /// When that was noted, milliseconds since the epoch.
    pub(super) kept_at_ms: Option<i64>,
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
                    kept_at_ms: None,
                    projection: Projection::new(),
                    said: Vec::new(),
                    begins_anew: true,
                });
            }
        }
    }
    let kept_at_ms = applied.as_ref().map(|applied| applied.at_ms);
    let position = applied.map(|applied| applied.position).unwrap_or_default();
    let said = consumers::read(&mut read, position.n).await?;
    Ok(Restored {
        position,
        kept_at_ms,
        projection,
        said,
        begins_anew: false,
    })
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
            assert_eq!(restored.kept_at_ms.is_some(), n > 0);
            assert_eq!(restored.begins_anew, n == 0);
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
