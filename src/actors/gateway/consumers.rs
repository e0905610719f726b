//! Whom key managers have told this gateway of, between memory and Carbon. Learned by the validator,
//! which forgets what a change touches before the change is acknowledged (V2); the follower alone
//! writes it.

use domain::consumer::Said;
use domain::known_consumers::{KEPT_MS, KnownConsumers};
use domain::validation_cache::{Subject, SubjectKind};
use storage::carbon::consumers as rows;
use storage::{Database, Read, StoreError, Write};

/// Clients that are known at most.
pub(super) const MOST: usize = 20_000;
/// Clients that one transaction writes at most: a change that comes just then waits for so many.
const WRITTEN: usize = 64;

/// Writes a lot of what was learned to Carbon; whether there is more. Called by the follower, between
/// changes: so nothing is written that a change has touched which Carbon does not know of.
pub(super) async fn save(
    carbon: &Database,
    consumers: &std::sync::Mutex<KnownConsumers>,
) -> Result<bool, StoreError> {
    let taken = super::locked(consumers).take_unsaved(WRITTEN);
    let written = match taken.is_empty() {
        true => Ok(()),
        false => write(carbon, &taken).await,
    };
    let mut consumers = super::locked(consumers);
    if written.is_err() {
        consumers.save_again(&taken);
    }
    let unsaved = consumers.unsaved();
    let kept = consumers.len().saturating_sub(unsaved);
    drop(consumers);
    let kept = u32::try_from(kept).unwrap_or(u32::MAX);
    metrics::gauge!("headgate_gateway_known_consumers").set(f64::from(kept));
    written.map(|()| unsaved > 0)
}

async fn write(carbon: &Database, taken: &[Said]) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.consumers.save").await?;
    for said in taken {
        rows::save(&mut write, said).await?;
    }
    write.commit().await
}

/// What Carbon has at its position.
pub(super) async fn read(read: &mut Read, n: u64) -> Result<Vec<Said>, StoreError> {
    rows::list(read, n, i64::try_from(MOST).unwrap_or(i64::MAX)).await
}

/// Deletes everything, with a snapshot.
pub(super) async fn delete_all(write: &mut Write) -> Result<(), StoreError> {
    rows::delete_all(write).await
}

/// Deletes what changes have touched, in the transaction that notes them as applied.
pub(super) async fn delete_touched(
    write: &mut Write,
    touched: &[(u64, Subject)],
) -> Result<(), StoreError> {
    for (n, subject) in touched {
        match subject.kind {
            SubjectKind::Client => rows::delete_client(write, &subject.id, *n).await?,
            SubjectKind::Application => {
                rows::delete_of_application(write, &subject.id, *n).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Deletes what is too old, and the oldest of too many.
pub(super) async fn delete_old(write: &mut Write, now_ms: i64) -> Result<(), StoreError> {
    let before_ms = now_ms.saturating_sub(KEPT_MS);
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    rows::delete_old(write, before_ms, most).await.map(drop)
}
