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
    /// `traffic_manager.keys`, default `1000000`: keys (of applications, users, addresses) that are counted apart at
    /// most, about 140 bytes of memory each on their owner and on their standby while their windows run (140 MB for all
    /// on a node that is alone); beyond it the keys of a plan share one count.
    pub(crate) keys: usize,
    /// `traffic_manager.hold_s`, default `86400`: for how long a traffic manager that decides alone goes on counting
    /// while neither its database nor a control plane answers, and for how long whoever replaces it under its name
    /// without its disk, and without an operator's word, waits. A lone node that was stopped in order is waited for 15 s,
    /// in which it may be started again, and no longer. Of no meaning where others vote, and where API-M is a file in the
    /// data directory.
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
