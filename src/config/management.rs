//! `[management]`: how much a node's management port does at once.

use super::read;
use super::source::{ConfigError, Source};

/// `[management]`.
#[derive(Debug, Clone)]
pub(crate) struct Management {
    /// `management.max_connections`, default `2048`: the most connections at once on each of a node's management listeners; on
    /// 64 more `/livez` and `/readyz` are answered, and everything else with 503 and `Retry-After`; others are closed.
    pub(crate) max_connections: usize,
    /// `management.max_requests`, default `512`: the most requests under way at once on a node's management listeners; one more
    /// is answered with 503 and `Retry-After`, unless it is for `/livez` or `/readyz`.
    pub(crate) max_requests: usize,
}

// === impl Management ===

impl Management {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        Ok(Self {
            max_connections: source.take("management.max_connections", "2048", read::most)?,
            max_requests: source.take("management.max_requests", "512", read::most)?,
        })
    }
}
