//! Texts that requests need: identifiers and times, made without a system call.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;

const DAY_MS: i64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Makes identifiers that no two requests of this process share, from a random start.
#[derive(Debug)]
pub(super) struct Ids {
    seed: (u64, u64),
    next: AtomicU64,
}

// === impl Ids ===

impl Ids {
    /// Identifiers from a random number.
    #[must_use]
    pub(super) const fn new(seed: u128) -> Self {
        Self {
            seed: ((seed >> 64) as u64, seed as u64),
            next: AtomicU64::new(0),
        }
    }

    /// 128 bits.
    fn number(&self) -> (u64, u64) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        (mixed(self.seed.0 ^ n), mixed(self.seed.1.wrapping_add(n)))
    }

    /// 32 hexadecimal digits.
    pub(super) fn request_id(&self) -> HeaderValue {
        let (high, low) = self.number();
        let mut text = [0; 32];
        hex(&mut text, high, low);
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
    }

    /// A `traceparent` (W3C Trace Context) of the caller's trace, or of a new one, with a span of
    /// our own; and whether it is the caller's.
    pub(super) fn traceparent(&self, from: Option<&HeaderValue>) -> (HeaderValue, bool) {
        let (high, low) = self.number();
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        let mut digits = [0; 32];
        hex(&mut digits, high, low);
        let given = from
            .map(HeaderValue::as_bytes)
            .filter(|text| is_traceparent(text));
        let (trace, span) = text.split_at_mut(36);
        for (place, digit) in trace.iter_mut().skip(3).zip(digits) {
            *place = digit;
        }
        let mut digits = [0; 32];
        hex(&mut digits, mixed(high ^ 1), mixed(low ^ 1));
        for (place, digit) in span.iter_mut().zip(digits.iter().take(16)) {
            *place = *digit;
        }
        if let Some(given) = given {
            for (place, byte) in trace.iter_mut().zip(given).take(36) {
                *place = *byte;
            }
            for (place, byte) in span.iter_mut().rev().zip(given.iter().rev()).take(2) {
                *place = *byte;
            }
        }
        let text = HeaderValue::from_bytes(&text);
        let text = text.unwrap_or(HeaderValue::from_static("00"));
        (text, given.is_some())
    }
}

/// `2026-Feb-10 16:20:00+0000 UTC`, as WSO2 writes the end of a window; the first whole second
/// that is not before it.
pub(super) fn next_access(at_ms: i64) -> String {
    let at_ms = at_ms.saturating_add(999);
    let days = at_ms.div_euclid(DAY_MS) + 719_468;
    let second = at_ms.rem_euclid(DAY_MS) / 1_000;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year + i64::from(from_march >= 10);
    let name = usize::try_from(month).ok().and_then(|at| MONTHS.get(at));
    format!(
        "{year}-{}-{day:02} {:02}:{:02}:{:02}+0000 UTC",
        name.unwrap_or(&"Jan"),
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// `"Gold";r=12;t=34` (draft-ietf-httpapi-ratelimit-headers), without the machinery of formatting.
pub(super) fn quota(name: &str, left: u64, seconds: i64) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(name.len() + 48);
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b";r=");
    decimal(&mut text, left);
    text.extend_from_slice(b";t=");
    decimal(&mut text, u64::try_from(seconds).unwrap_or(0));
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

fn decimal(text: &mut Vec<u8>, number: u64) {
    let begin = text.len();
    let mut rest = number;
    loop {
        text.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(begin..) {
        digits.reverse();
    }
}

/// Whether a request id may be taken over: short, and nothing that a log would trip over.
pub(super) fn is_request_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&bytes.len()) && bytes.iter().all(plain)
}

fn is_traceparent(text: &[u8]) -> bool {
    let fits = |(at, byte): (usize, &u8)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
    };
    let some = |span: Option<&[u8]>| span.is_some_and(|span| span.iter().any(|byte| *byte != b'0'));
    text.len() == 55
        && text.starts_with(b"00-")
        && text.iter().enumerate().all(fits)
        && some(text.get(3..35))
        && some(text.get(36..52))
}

fn hex(text: &mut [u8; 32], high: u64, low: u64) {
    let number = (u128::from(high) << 64) | u128::from(low);
    for (at, place) in text.iter_mut().enumerate() {
        let digit = (number >> (124 - 4 * at)) as u8 & 0x0f;
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
    }
}

/// SplitMix64's finish: neighbours get nothing in common.
const fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_window_is_written_as_wso2_does() {
        assert_eq!(
            next_access(1_770_740_400_000),
            "2026-Feb-10 16:20:00+0000 UTC"
        );
        assert_eq!(next_access(0), "1970-Jan-01 00:00:00+0000 UTC");
        assert_eq!(
            next_access(1_709_251_199_000),
            "2024-Feb-29 23:59:59+0000 UTC"
        );
    }

    #[test]
    fn the_next_access_is_never_named_before_its_time() {
        assert_eq!(
            next_access(1_770_740_399_001),
            "2026-Feb-10 16:20:00+0000 UTC"
        );
        assert_eq!(
            next_access(1_770_740_400_001),
            "2026-Feb-10 16:20:01+0000 UTC"
        );
    }

    #[test]
    fn a_callers_trace_goes_on_with_a_span_of_ours() {
        let ids = Ids::new(7);
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let (ours, goes_on) = ids.traceparent(Some(&HeaderValue::from_static(given)));
        assert!(goes_on);
        let ours = ours.to_str().unwrap();
        assert!(ours.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && ours.ends_with("-00"));
        assert_ne!(ours, given);
        let wrong = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-0-00");
        let (fresh, goes_on) = ids.traceparent(Some(&wrong));
        assert!(!goes_on);
        assert!(is_traceparent(fresh.as_bytes()) && !fresh.to_str().unwrap().contains("4bf92f"));
    }

    #[test]
    fn a_quota_is_written_as_its_draft_says() {
        for (left, seconds) in [(0, 0), (7, 60), (u64::MAX, 86_400)] {
            let text = format!("\"Gold\";r={left};t={seconds}");
            assert_eq!(quota("\"Gold\"", left, seconds).unwrap(), text.as_str());
        }
    }

    #[test]
    fn request_ids_differ_and_odd_ones_are_not_taken_over() {
        let ids = Ids::new(7);
        assert_ne!(ids.request_id(), ids.request_id());
        assert!(is_request_id(&ids.request_id()));
        assert!(!is_request_id(&HeaderValue::from_static("a b")));
        assert!(!is_request_id(&HeaderValue::from_static("")));
    }
}
