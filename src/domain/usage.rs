//! What is known of a call after it: the event a gateway accounts, and the counts it adds up to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One call, as the gateway saw it end. Its texts are shared with what served the call, so that an
/// event costs no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageEvent {
    /// When the request came, milliseconds since the epoch.
    pub at_ms: i64,
    /// The request's method, `other` for those that are not common.
    pub method: &'static str,
    /// The throttling policy that refused it.
    pub policy: Option<Arc<str>>,
    /// Tenant domain.
    pub tenant: Arc<str>,
    /// The API; empty when none matched.
    pub api_id: Arc<str>,
    /// The application; empty when anonymous or refused before it was known.
    pub application_id: Arc<str>,
    /// The status that the client got.
    pub status: u16,
    /// WSO2's code when the gateway answered itself, else 0.
    pub fault: u32,
    /// Whether the request was handed to the upstream.
    pub forwarded: bool,
    /// From the first byte of the request to the last of the response, microseconds.
    pub latency_us: u64,
    /// Time that the upstream took to its response head, microseconds.
    pub upstream_us: u64,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
}

/// Calls of a minute that got the same status, whoever called what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteSum {
    /// When the minute began, milliseconds since the epoch.
    pub minute_ms: i64,
    /// What the calls were answered with.
    pub status: u16,
    /// How many there were.
    pub calls: u64,
    /// How many of them were passed on to an upstream.
    pub forwarded: u64,
}

/// The counts of one minute for one API, application and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageCount {
    /// Start of the minute, milliseconds since the epoch.
    pub minute_ms: i64,
    /// Tenant domain.
    pub tenant: String,
    /// The API; empty when none matched.
    pub api_id: String,
    /// The application; empty when not known.
    pub application_id: String,
    /// The status that clients got.
    pub status: u16,
    /// Calls.
    pub calls: u64,
    /// Calls that reached the upstream.
    pub forwarded: u64,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Body bytes to clients.
    pub bytes_out: u64,
    /// Latencies.
    pub latency: Histogram,
}

/// A latency histogram that can be added to another: bucket `i` counts what took less than
/// 2^(i/2) × 100 µs and not less than the bucket before; the last one is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Counts, [`Histogram::BUCKETS`] of them.
    pub counts: Vec<u64>,
}

// === impl UsageCount ===

impl UsageCount {
    /// Adds another count of the same minute, API, application and status.
    pub fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.forwarded = self.forwarded.saturating_add(other.forwarded);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.latency.merge(&other.latency);
    }

    /// One count for each minute, tenant, API, application and status, in that order.
    #[must_use]
    pub fn merged(mut counts: Vec<Self>) -> Vec<Self> {
        counts.sort_by(|a, b| a.key().cmp(&b.key()));
        counts.dedup_by(|next, kept| {
            let same = next.key() == kept.key();
            if same {
                kept.merge(next);
            }
            same
        });
        counts
    }

    fn key(&self) -> (i64, &str, &str, &str, u16) {
        (
            self.minute_ms,
            &self.tenant,
            &self.api_id,
            &self.application_id,
            self.status,
        )
    }
}

// === impl Histogram ===

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; Self::BUCKETS],
        }
    }
}

impl Histogram {
    /// Number of buckets: up to 100 µs, then two per doubling to about two minutes, then open.
    pub const BUCKETS: usize = 42;

    /// The upper bound of bucket `index` in microseconds; none for the open one.
    #[must_use]
    pub fn bound_us(index: usize) -> Option<u64> {
        if index + 1 >= Self::BUCKETS {
            return None;
        }
        let whole = 100_u64 << (index / 2);
        // √2 as 99/70, exact enough for a bucket bound and the same on every machine.
        Some(if index.is_multiple_of(2) {
            whole
        } else {
            whole * 99 / 70
        })
    }

    /// Counts one latency.
    pub fn record(&mut self, latency_us: u64) {
        let bucket = (0..Self::BUCKETS)
            .find(|&index| Self::bound_us(index).is_none_or(|bound| latency_us < bound))
            .unwrap_or(Self::BUCKETS - 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Adds another histogram to this one.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// The bound under which `quantile` (0 to 1) of the latencies lie, in microseconds.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let mut left = (total as f64 * quantile.clamp(0.0, 1.0)).ceil();
        for (index, count) in self.counts.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 && total > 0 {
                return Some(Self::bound_us(index).unwrap_or(u64::MAX));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_merge_to_the_histogram_of_all() {
        let (mut left, mut right, mut all) = <(Histogram, Histogram, Histogram)>::default();
        for latency in [1, 99, 100, 140, 150, 5_000, 80_000, 600_000_000] {
            all.record(latency);
            if latency % 2 == 0 {
                left.record(latency);
            } else {
                right.record(latency);
            }
        }
        left.merge(&right);
        assert_eq!(left, all);
        assert_eq!(all.counts.iter().sum::<u64>(), 8);
        assert_eq!(all.quantile_us(1.0), Some(u64::MAX));
        assert_eq!(Histogram::default().quantile_us(0.5), None);
    }

    #[test]
    fn merged_counts_add_up_and_each_key_comes_once() {
        let count = |minute_ms, status, calls| UsageCount {
            minute_ms,
            tenant: String::new(),
            api_id: "a".to_owned(),
            application_id: String::new(),
            status,
            calls,
            forwarded: calls,
            bytes_in: 1,
            bytes_out: 2,
            latency: Histogram::default(),
        };
        let all = vec![
            count(60_000, 200, 3),
            count(0, 429, 1),
            count(60_000, 200, 4),
            count(0, 200, 2),
        ];
        let merged = UsageCount::merged(all);
        let keys: Vec<_> = merged
            .iter()
            .map(|count| (count.minute_ms, count.status, count.calls, count.bytes_out))
            .collect();
        assert_eq!(keys, [(0, 200, 2, 2), (0, 429, 1, 2), (60_000, 200, 7, 4)]);
    }

    #[test]
    fn bounds_only_rise() {
        let bounds: Vec<u64> = (0..).map_while(Histogram::bound_us).collect();
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(bounds.len() + 1, Histogram::BUCKETS);
    }
}
