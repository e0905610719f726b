//! One connection from its first byte to its end: within its times, and in order at a stop.

use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio_util::sync::CancellationToken;

use crate::patience::Patience;
use crate::turn::{End, Turn};

/// How long open requests may go on after a stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Serves a connection until it ends, has lasted too long or is to stop; then its open requests end.
pub(crate) async fn run<C: GracefulConnection<Error: std::fmt::Display>>(
    serving: C,
    turn: &Turn,
    patience: &Patience,
    stop: &CancellationToken,
) {
    let mut serving = pin!(serving);
    let served = tokio::select! {
        biased;
        served = &mut serving => Some(served),
        end = turn.over(patience) => match end {
            End::Now => return,
            End::Gently => None,
        },
        () = stop.cancelled() => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, serving).await {
                Ok(served) => served,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// The hands that are shaken in time, unless a stop comes first: no request is open yet, nothing
/// is lost.
pub(crate) async fn shaken<T, E>(
    handshake: impl Future<Output = Result<T, E>>,
    patience: Duration,
    stop: &CancellationToken,
) -> Option<T> {
    tokio::select! {
        shaken = tokio::time::timeout(patience, handshake) => shaken.ok()?.ok(),
        () = stop.cancelled() => None,
    }
}
