//! What actors have had to do is kept each ten seconds, so that operators see what they had to do lately.

use std::time::Duration;

use cluster::System;
use tokio_util::sync::CancellationToken;

/// Between two samples; the registry keeps a minute of them.
const ROUND: Duration = Duration::from_secs(10);

/// Keeps them until `stop`.
pub(super) async fn keep(system: System, stop: CancellationToken) {
    loop {
        system.registry.sample(system.clock.monotonic());
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = stop.cancelled() => return,
        }
    }
}
