//! How a node goes, in order: nothing that was begun is lost, and nothing is sent here that would be.

use std::time::Duration;

use actors::gateway::GatewayHandle;
use headgate_http::Leaving;

use super::Node;
use crate::config::Config;
use crate::telemetry;

/// How long actors may take to finish what they have.
pub(super) const STOP: Duration = Duration::from_secs(15);
/// How long others may take to have this node's shards.
const HAND_OVER: Duration = Duration::from_secs(5);
/// How long calls that were cut may take to be accounted.
const CUT: Duration = Duration::from_secs(2);
/// How long a node of a cluster serves on where nobody says for how long: some balancers look every two seconds.
const DELAY: Duration = Duration::from_secs(5);

/// What a node does when it goes.
pub(super) struct Going {
    pub(super) leaving: Leaving,
    /// How long it serves on once it has said so.
    delay: Duration,
    /// How long open requests may go on after that.
    timeout: Duration,
}

// === impl Going ===

impl Going {
    /// As it is configured; a node alone has nobody who would serve in its place.
    pub(super) fn of(config: &Config) -> Self {
        let alone = config.cluster.listen.is_none();
        let usual = if alone { Duration::ZERO } else { DELAY };
        let timeout = config.node.drain_timeout;
        Self {
            leaving: Leaving::new(timeout),
            delay: config.node.drain_delay.unwrap_or(usual),
            timeout,
        }
    }
}

// === impl Node ===

impl Node {
    /// Stops in order (M3): not ready, and served on for a while; no new requests, open ones end; actors finish,
    /// databases close.
    pub(crate) async fn stop(self) {
        self.serve_on().await;
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
            tracing::info!("other nodes have had the time to hear that this one goes");
        }
        let longest = self.going.timeout + STOP;
        for server in self.servers {
            let _ = tokio::time::timeout(longest, server).await;
        }
        if let Some(gateway) = &self.gateway {
            account(gateway).await;
            // The last call has ended, so no change has to wait for this gateway any more.
            gateway.leave().await;
        }
        self.tree.stop(STOP).await;
        self.databases.close().await;
        let _ = std::fs::remove_file(self.data.join("run/ports.json"));
        tracing::info!(target: telemetry::NODE, "node has stopped");
    }

    /// The same at once, for a node that the cluster will not have: what it would serve on with may be another's.
    pub(crate) async fn stop_now(mut self) {
        self.going.delay = Duration::ZERO;
        self.stop().await;
    }

    /// Whoever sends requests here has the time to find out that they have to go elsewhere, and others that count take
    /// over what is counted here.
    async fn serve_on(&self) {
        self.going.leaving.tell();
        let delay = self.going.delay;
        if !delay.is_zero() {
            let for_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(target: telemetry::NODE, for_ms, "node is leaving: not ready, and serves on");
        }
        let handed = async {
            if let Some(traffic_manager) = &self.traffic_manager {
                traffic_manager.hand_over(HAND_OVER).await;
            }
        };
        let served = async {
            tokio::time::sleep(delay).await;
            self.going.leaving.stop();
        };
        tokio::join!(handed, served);
    }
}

/// Calls that were cut leave their usage before its recorder goes.
async fn account(gateway: &GatewayHandle) {
    let accounted = async {
        while gateway.open_calls() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(CUT, accounted).await.is_err() {
        let calls = gateway.open_calls();
        tracing::warn!(calls, "calls did not end, they are told as unknown");
    }
}
