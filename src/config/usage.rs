//! `[usage]`: what is kept of calls after them.

use super::source::{ConfigError, Source};

/// Ten years: more is as good as for ever.
const MOST_DAYS: u32 = 3_660;

/// `[usage]`
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    /// `usage.retention_days`, default `90`: how long the counts of `/admin/usage` are kept.
    pub(crate) retention_days: u32,
}

// === impl Usage ===

impl Usage {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        Ok(Self {
            retention_days: source.take("usage.retention_days", "90", days)?,
        })
    }
}

fn days(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(days) if (1..=MOST_DAYS).contains(&days) => Ok(days),
        _ => Err(format!("must be a number of days from 1 to {MOST_DAYS}")),
    }
}
