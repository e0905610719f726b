//! How long voters wait for each other.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::actor::BoxError;

/// How long voters wait for each other. A leader that is lost is replaced within `lease` and twice `spread`, mostly
/// within `lease` and once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterTiming {
    /// How often a leader says that it is there.
    pub heartbeat: Duration,
    /// How long a voter holds to a leader that says nothing.
    pub lease: Duration,
    /// Over which time voters stand for election after that, each at a moment that it draws.
    pub spread: Duration,
    /// How long an order waits for a majority.
    pub agreeing: Duration,
    /// How long a new voter may take to follow.
    pub following: Duration,
    /// Entries after which a snapshot replaces them.
    pub entries: u64,
}

// === impl RegisterTiming ===

impl Default for RegisterTiming {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            lease: Duration::from_millis(400),
            spread: Duration::from_millis(250),
            agreeing: Duration::from_secs(3),
            following: Duration::from_secs(10),
            entries: 128,
        }
    }
}

impl RegisterTiming {
    /// A patience within the spread, another one each time; never less than two fifths, so that answers have their time.
    pub(crate) fn draw(&self) -> Duration {
        let mut bytes = [0; 2];
        let drawn =
            aws_lc_rs::rand::fill(&mut bytes).map_or(u16::MAX, |()| u16::from_be_bytes(bytes));
        self.spread * 2 / 5 + (self.spread * 3 / 5).mul_f64(f64::from(drawn) / f64::from(u16::MAX))
    }

    /// How long an answer may take: the next word that a voter holds to its leader by follows it.
    pub(crate) fn answer(&self) -> Duration {
        self.lease * 7 / 8
    }

    /// After which silence openraft is held to hang: it says something with each heartbeat.
    pub(crate) fn silence(&self) -> Duration {
        self.lease * 2
    }

    /// After which silence of a majority a leader says nothing any more. An answer tells that its question came, and
    /// the next one may take as long.
    pub(crate) fn unanswered(&self) -> Duration {
        self.lease * 2
    }

    /// How long it says nothing: as long as it takes to elect another.
    pub(crate) fn quiet(&self) -> Duration {
        self.lease + self.spread * 2
    }

    /// All of it in openraft's words. It has one span for its own heartbeats and for how long an answer may take.
    ///
    /// # Errors
    /// When the spans contradict each other.
    pub(crate) fn config(&self) -> Result<Config, BoxError> {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "headgate".to_owned(),
            heartbeat_interval: ms(self.answer()),
            // See `heartbeat`.
            enable_heartbeat: false,
            // How long the answer to a vote may take.
            election_timeout_min: ms(self.lease).saturating_sub(1),
            election_timeout_max: ms(self.lease),
            install_snapshot_timeout: ms(self.following),
            max_payload_entries: 32,
            replication_lag_threshold: self.entries * 2,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.entries),
            max_in_snapshot_log_to_keep: self.entries / 2,
            purge_batch_size: 1,
            // See `election`.
            enable_elect: false,
            ..Config::default()
        };
        Ok(config.validate()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_leader_is_replaced_within_900_ms_also_when_the_first_votes_are_split() {
        let timing = RegisterTiming::default();
        assert!(timing.lease + timing.spread * 2 <= Duration::from_millis(900));
        let config = timing.config().unwrap();
        assert_eq!(
            config.heartbeat_interval, 350,
            "an answer comes within the lease"
        );
        assert!(timing.answer() + timing.heartbeat * 2 < timing.unanswered());
        let drawn: Vec<Duration> = (0..64).map(|_| timing.draw()).collect();
        assert!(
            drawn
                .iter()
                .all(|one| *one >= timing.spread * 2 / 5 && *one <= timing.spread)
        );
        assert!(drawn.iter().any(|one| *one != drawn[0]));
    }
}
