//! What time brings: the node's own follows the machine's wall clock, slowly (L10), and a server
//! certificate that was replaced on disk is taken.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use cluster::Clock;

use crate::tls::ServerCertificate;

/// How often both are looked at.
const ROUND: Duration = Duration::from_secs(10);
/// Further apart than this, slewing takes longer than half an hour.
const APART_MS: i64 = 1_000;

/// Looks until `stop`.
pub(super) async fn follow(
    clock: Clock,
    certificate: Arc<ServerCertificate>,
    stop: CancellationToken,
) {
    let mut told = false;
    loop {
        certificate.renew(clock.now_ms());
        let apart_ms = clock.slew();
        metrics::gauge!("headgate_clock_apart_seconds").set(apart_ms as f64 / 1_000.0);
        let apart = apart_ms.saturating_abs() > APART_MS;
        if apart && !told {
            tracing::error!(
                apart_ms,
                "the machine's clock was set; the node's own follows by half a millisecond a \
                 second, start the node again to follow at once"
            );
        } else if told && !apart {
            tracing::info!("the node's time is the machine's again");
        }
        told = apart;
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Says when the clock cannot be right at a start: it stands before the last change.
pub(super) fn compare_with_last_change(now_ms: i64, last_change_ms: Option<i64>) {
    let back_ms = last_change_ms.map_or(0, |last| last.saturating_sub(now_ms));
    if back_ms > APART_MS {
        tracing::error!(
            back_ms,
            "the clock stands before the last change in the change log: tokens live too long or \
             too short until it is set right and the node started again"
        );
    }
}
