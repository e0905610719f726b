//! `[traffic_manager]`: how much of it counts.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::source::{ConfigError, Source};

/// Fewer would turn everybody to shared counts at once; more than that no machine has room for.
const KEYS: RangeInclusive<usize> = 1_000..=100_000_000;

/// Below that a database that is started again would stop the counting; above it nobody waits.
const HOLD_S: RangeInclusive<u64> = 5..=31_536_000;

/// `[traffic_manager]`
#[derive(Debug, Clone)]
pub(crate) struct TrafficManager {
    /// Keys that are counted apart at most.
    pub(crate) keys: usize,
    /// For how long it goes on by itself, as the one that decides alone, where the control plane cannot be told.
    pub(crate) hold: Duration,
}

// === impl TrafficManager ===

impl TrafficManager {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: source.take("traffic_manager.keys", "1000000", keys)?,
            hold: source.take("traffic_manager.hold_s", "86400", hold)?,
        })
    }
}

fn keys(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(keys) if KEYS.contains(&keys) => Ok(keys),
        _ => Err(format!(
            "must be a number from {} to {}",
            KEYS.start(),
            KEYS.end()
        )),
    }
}

fn hold(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) if HOLD_S.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "must be a number of seconds from {} to {}",
            HOLD_S.start(),
            HOLD_S.end()
        )),
    }
}
