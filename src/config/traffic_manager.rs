//! `[traffic_manager]`: how much of it counts.

use std::ops::RangeInclusive;

use super::source::{ConfigError, Source};

/// Fewer would turn everybody to shared counts at once; more than that no machine has room for.
const KEYS: RangeInclusive<usize> = 1_000..=100_000_000;

/// `[traffic_manager]`
#[derive(Debug, Clone)]
pub(crate) struct TrafficManager {
    /// Keys that are counted apart at most.
    pub(crate) keys: usize,
}

// === impl TrafficManager ===

impl TrafficManager {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: source.take("traffic_manager.keys", "1000000", keys)?,
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
