//! Charts, as the numbers that a template draws: bars stacked by minute, and bars beside words.

use jiff::Timestamp;

use super::calls::{Calls, Minute, cause};

/// The height of the tallest bar, and the width of a minute, in the chart's own units.
const HEIGHT: u64 = 100;
const STEP: u64 = 10;
/// The length of the longest bar beside a word.
const LENGTH: u64 = 200;

/// Calls by minute.
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    /// The most of a minute, which is what the whole height stands for.
    pub(super) most: u64,
    /// When it begins and ends, hours and minutes of UTC.
    pub(super) from: String,
    pub(super) to: String,
    /// All of it in a sentence, for whoever does not see it.
    pub(super) told: String,
}

/// One minute, its parts from the ground up; each with its top and its height.
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) when: String,
    pub(super) minute: Minute,
    pub(super) answered: (u64, u64),
    pub(super) failed: (u64, u64),
    pub(super) refused: (u64, u64),
}

/// One cause of refusals.
pub(super) struct Cause {
    pub(super) status: u16,
    pub(super) word: &'static str,
    pub(super) calls: u64,
    pub(super) length: u64,
}

// === impl Bars ===

impl Bars {
    pub(super) fn of(calls: &Calls) -> Self {
        let most = calls.minutes.iter().map(|minute| minute.all()).max();
        let most = most.unwrap_or_default();
        let when = |at: usize| {
            let minutes = i64::try_from(at).unwrap_or_default();
            clock(calls.from_ms + minutes * 60_000)
        };
        let bars = calls.minutes.iter().enumerate();
        let bars = bars.map(|(at, minute)| {
            let x = u64::try_from(at).unwrap_or_default() * STEP;
            Bar::of(x, when(at), *minute, most)
        });
        let total = calls.total();
        Self {
            bars: bars.collect(),
            most,
            from: when(0),
            to: when(calls.minutes.len()),
            told: format!(
                "{} calls in the last hour: {} answered, {} that the upstream failed, {} refused; at most {most} in a minute",
                total.all(),
                total.answered,
                total.failed,
                total.refused
            ),
        }
    }
}

// === impl Bar ===

impl Bar {
    fn of(x: u64, when: String, minute: Minute, most: u64) -> Self {
        let mut below = 0;
        let mut part = |calls: u64| {
            below += calls;
            let (top, height) = (scaled(below, most, HEIGHT), scaled(calls, most, HEIGHT));
            (HEIGHT - top, height.max(u64::from(calls > 0)))
        };
        Self {
            x,
            when,
            minute,
            answered: part(minute.answered),
            failed: part(minute.failed),
            refused: part(minute.refused),
        }
    }
}

/// What was refused, by cause, most of it first.
pub(super) fn causes(calls: &Calls) -> Vec<Cause> {
    let most = calls.refused.values().copied().max().unwrap_or_default();
    let causes = calls.refused.iter().map(|(status, calls)| Cause {
        status: *status,
        word: cause(*status),
        calls: *calls,
        length: scaled(*calls, most, LENGTH).max(1),
    });
    let mut causes: Vec<_> = causes.collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.calls));
    causes
}

/// `part` of `most` as a part of `full`.
fn scaled(part: u64, most: u64, full: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(full) / u128::from(most.max(1));
    u64::try_from(scaled).unwrap_or(full).min(full)
}

fn clock(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    // 2026-11-29T02:33:00Z
    at.to_string().get(11..16).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn bars_stand_on_each_other_and_the_tallest_is_as_high_as_the_chart() {
        let minute = |answered, failed, refused| Minute {
            answered,
            failed,
            refused,
        };
        let calls = Calls {
            from_ms: 3_600_000,
            minutes: vec![minute(50, 25, 25), minute(1, 0, 0), minute(0, 0, 0)],
            refused: BTreeMap::from([(401, 5), (429, 20)]),
        };
        let bars = Bars::of(&calls);
        assert_eq!(
            (bars.most, bars.from.as_str(), bars.to.as_str()),
            (100, "01:00", "01:03")
        );
        let first = &bars.bars[0];
        assert_eq!(
            (first.answered, first.failed, first.refused),
            ((50, 50), (25, 25), (0, 25))
        );
        let second = &bars.bars[1];
        assert_eq!((second.x, second.answered), (10, (99, 1)));
        assert_eq!(bars.bars[2].answered, (100, 0));
        assert!(
            bars.told
                .starts_with("101 calls in the last hour: 51 answered")
        );
        let causes: Vec<_> = causes(&calls)
            .iter()
            .map(|one| (one.status, one.length))
            .collect();
        assert_eq!(causes, [(429, 200), (401, 50)]);
    }

    #[test]
    fn an_hour_without_calls_is_a_chart_without_bars() {
        let calls = Calls {
            minutes: vec![Minute::default(); 60],
            ..Calls::default()
        };
        let bars = Bars::of(&calls);
        assert!(bars.bars.iter().all(|bar| bar.answered.1 == 0));
        assert!(causes(&calls).is_empty());
    }
}
