//! Throttling windows: pure computations from a time to the window that holds it.
//! Fixed windows of any unit, aligned with the clock in T (PROTOCOLS L10): minutes begin at second 0, days at
//! midnight UTC, weeks on Monday, months on the first, years on 1 January. The ledger numbers its cells with them.
//!
//! A window that slides, and a bucket that fills again, are cut into panes: a pane is what a lease is of, and units
//! count for the length of the whole window beyond the pane they were granted in. A month has 31 days there, a year 366.

use serde::{Deserialize, Serialize};

use crate::policy::{TimeUnit, WindowKind};

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400 * SECOND_MS;
/// 1970-01-01 was a Thursday: the Monday before it lies three days earlier.
const MONDAY_BEFORE_EPOCH_MS: i64 = -3 * DAY_MS;

/// A pane of a window that slides lasts at least so long, as far as there are `LEAST_PANES`: a lease of less would be
/// over before it is of use.
const PANE_MS: i64 = 500;
const LEAST_PANES: i64 = 10;
/// With as many less than 1 % of a limit is not given out.
const MOST_PANES: i64 = 100;
/// What T may be lifted by when a disk is read: a note and a fence reach a second ahead each.
const LIFTED_MS: i64 = 2_000;
/// Where the kind of a window stands in its count when it travels or is stored: what a fixed one looks like has been
/// the same since there were no others.
const KIND_SHIFT: u32 = 30;
const COUNT_MASK: u32 = (1 << KIND_SHIFT) - 1;

/// The length of a window: `count` units (`timeUnit` × `unitTime`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct WindowSpec {
    /// The unit.
    pub unit: TimeUnit,
    /// How many of them; 0 is read as 1.
    pub count: u32,
    /// How it counts.
    pub kind: WindowKind,
}

/// A [`WindowSpec`] as it travels.
#[derive(Serialize, Deserialize)]
#[serde(rename = "WindowSpec")]
struct Written {
    unit: TimeUnit,
    count: u32,
}

/// Which window of which kind: what two parties compare to know that they speak of the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowId {
    /// The kind of window; numbers of different kinds do not compare.
    pub spec: WindowSpec,
    /// Windows since the epoch (negative before it).
    pub number: i64,
}

/// One window with its bounds in milliseconds of T: it holds `start_ms <= t < end_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Kind and number.
    pub id: WindowId,
    /// First millisecond.
    pub start_ms: i64,
    /// First millisecond after it.
    pub end_ms: i64,
}

// === impl Written ===

impl From<WindowSpec> for Written {
    fn from(spec: WindowSpec) -> Self {
        let kind = match spec.kind {
            WindowKind::Fixed => 0,
            WindowKind::Sliding => 1,
            WindowKind::Bucket => 2,
        };
        Self {
            unit: spec.unit,
            count: (spec.count & COUNT_MASK) | (kind << KIND_SHIFT),
        }
    }
}

impl From<Written> for WindowSpec {
    fn from(written: Written) -> Self {
        let kind = match written.count >> KIND_SHIFT {
            1 => WindowKind::Sliding,
            2 => WindowKind::Bucket,
            _ => WindowKind::Fixed,
        };
        Self {
            unit: written.unit,
            count: written.count & COUNT_MASK,
            kind,
        }
    }
}

// === impl WindowSpec ===

impl WindowSpec {
    /// A fixed window of `count` units.
    pub const fn new(unit: TimeUnit, count: u32) -> Self {
        Self {
            unit,
            count,
            kind: WindowKind::Fixed,
        }
    }

    /// The same length counted in another way.
    #[must_use]
    pub const fn counted(self, kind: WindowKind) -> Self {
        Self { kind, ..self }
    }

    /// Whether units count beyond the pane they were granted in.
    pub fn is_paned(self) -> bool {
        self.kind != WindowKind::Fixed
    }

    /// How long the window is; of months and years that are fixed, about.
    pub fn span_ms(self) -> i64 {
        let unit_ms = match (fixed(self.unit), self.unit) {
            (Some((unit_ms, _)), _) => unit_ms,
            (None, TimeUnit::Year) => 366 * DAY_MS,
            (None, _) => 31 * DAY_MS,
        };
        self.width(unit_ms)
    }

    /// The length of a pane.
    pub(crate) fn pane_ms(self) -> i64 {
        let span_ms = self.span_ms();
        let panes = (span_ms / PANE_MS).clamp(LEAST_PANES, MOST_PANES);
        span_ms.saturating_add(panes - 1) / panes
    }

    /// The window that holds `t_ms`; of one that slides, the pane.
    pub fn at(self, t_ms: i64) -> Window {
        if self.is_paned() {
            return self.numbered(t_ms.div_euclid(self.pane_ms()));
        }
        let number = match fixed(self.unit) {
            Some((width, origin)) => t_ms.saturating_sub(origin).div_euclid(self.width(width)),
            None => months_since_epoch(t_ms).div_euclid(self.months()),
        };
        self.numbered(number)
    }

    /// The window with this number; of one that slides, the pane.
    pub fn numbered(self, number: i64) -> Window {
        let (start_ms, end_ms) = match fixed(self.unit) {
            _ if self.is_paned() => {
                let start = number.saturating_mul(self.pane_ms());
                (start, start.saturating_add(self.pane_ms()))
            }
            Some((width, origin)) => {
                let width = self.width(width);
                let start = number.saturating_mul(width).saturating_add(origin);
                (start, start.saturating_add(width))
            }
            None => {
                let first = number.saturating_mul(self.months());
                (
                    month_start_ms(first),
                    month_start_ms(first.saturating_add(self.months())),
                )
            }
        };
        Window {
            id: WindowId { spec: self, number },
            start_ms,
            end_ms,
        }
    }

    /// Whether the window lasts an hour or more: then its counts outlive a restart (PROTOCOLS L5).
    pub fn is_long(self) -> bool {
        self.span_ms() >= 3_600 * SECOND_MS
    }

    fn count(self) -> i64 {
        i64::from(self.count.max(1))
    }

    fn width(self, unit_ms: i64) -> i64 {
        unit_ms.saturating_mul(self.count())
    }

    /// The window's length in months; only asked for months and years.
    fn months(self) -> i64 {
        if self.unit == TimeUnit::Year {
            self.count() * 12
        } else {
            self.count()
        }
    }
}

// === impl Window ===

impl Window {
    /// Milliseconds from `t_ms` to the end, 0 after it.
    pub fn remaining_ms(&self, t_ms: i64) -> i64 {
        self.end_ms.saturating_sub(t_ms).max(0)
    }

    /// From when on its units count no more: the end of a fixed one, and for the length of the whole window longer
    /// where it slides (L10).
    pub fn counts_until_ms(&self) -> i64 {
        if self.id.spec.is_paned() {
            self.end_ms.saturating_add(self.id.spec.span_ms())
        } else {
            self.end_ms
        }
    }

    /// Until when a row of its units is kept: T may be lifted by as much as notes and fences reach ahead when it is read.
    pub fn marked_until_ms(&self) -> i64 {
        let lifted_ms = if self.id.spec.is_paned() {
            LIFTED_MS
        } else {
            0
        };
        self.counts_until_ms().saturating_add(lifted_ms)
    }

    /// Since when units may have been used that count in it: the start of a fixed one, and of the first pane whose
    /// units count yet where it slides.
    pub fn counts_from_ms(&self) -> i64 {
        let spec = self.id.spec;
        if spec.is_paned() {
            spec.at(self.start_ms.saturating_sub(spec.span_ms()))
                .start_ms
        } else {
            self.start_ms
        }
    }

    /// The length in milliseconds, at least 1.
    pub fn length_ms(&self) -> i64 {
        self.end_ms.saturating_sub(self.start_ms).max(1)
    }
}

// === calendar ===

/// The width in milliseconds and the origin of units that always have the same width.
const fn fixed(unit: TimeUnit) -> Option<(i64, i64)> {
    match unit {
        TimeUnit::Sec => Some((SECOND_MS, 0)),
        TimeUnit::Min => Some((60 * SECOND_MS, 0)),
        TimeUnit::Hour => Some((3_600 * SECOND_MS, 0)),
        TimeUnit::Day => Some((DAY_MS, 0)),
        TimeUnit::Week => Some((7 * DAY_MS, MONDAY_BEFORE_EPOCH_MS)),
        TimeUnit::Month | TimeUnit::Year => None,
    }
}

/// Months since January 1970 of the month that holds `t_ms`.
fn months_since_epoch(t_ms: i64) -> i64 {
    // Days are counted from 1 March of year 0, so that the leap day is a year's last; eras have 400 years.
    let days = t_ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    // March of year 0 is 1970 × 12 − 2 months before January 1970.
    (era * 400 + year_of_era) * 12 + month_from_march + 2 - 1_970 * 12
}

/// The first millisecond of the month `months` after January 1970.
fn month_start_ms(months: i64) -> i64 {
    let from_march = months.saturating_add(1_970 * 12 - 2);
    let (year, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.saturating_mul(146_097)
        .saturating_add(day_of_era - 719_468)
        .saturating_mul(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    fn bounds(unit: TimeUnit, count: u32, at: &str) -> (i64, i64) {
        let window = WindowSpec::new(unit, count).at(ms(at));
        (window.start_ms, window.end_ms)
    }

    #[test]
    fn windows_align_with_the_utc_calendar() {
        let at = "2024-02-29T23:59:59.999Z";
        assert_eq!(
            bounds(TimeUnit::Sec, 1, at),
            (ms("2024-02-29T23:59:59Z"), ms("2024-03-01T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Min, 5, at),
            (ms("2024-02-29T23:55:00Z"), ms("2024-03-01T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Day, 1, at),
            (ms("2024-02-29T00:00:00Z"), ms("2024-03-01T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Week, 1, at),
            (ms("2024-02-26T00:00:00Z"), ms("2024-03-04T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Month, 1, at),
            (ms("2024-02-01T00:00:00Z"), ms("2024-03-01T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Month, 3, at),
            (ms("2024-01-01T00:00:00Z"), ms("2024-04-01T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Year, 1, at),
            (ms("2024-01-01T00:00:00Z"), ms("2025-01-01T00:00:00Z"))
        );
        assert_eq!(
            bounds(TimeUnit::Month, 1, "1969-12-31T12:00:00Z"),
            (ms("1969-12-01T00:00:00Z"), ms("1970-01-01T00:00:00Z"))
        );
    }

    #[test]
    fn only_windows_of_an_hour_or_more_are_long() {
        assert!(!WindowSpec::new(TimeUnit::Min, 59).is_long());
        assert!(WindowSpec::new(TimeUnit::Min, 60).is_long());
        assert!(WindowSpec::new(TimeUnit::Month, 1).is_long());
    }

    fn any_spec() -> impl Strategy<Value = WindowSpec> {
        let unit = prop_oneof![
            Just(TimeUnit::Sec),
            Just(TimeUnit::Min),
            Just(TimeUnit::Hour),
            Just(TimeUnit::Day),
            Just(TimeUnit::Week),
            Just(TimeUnit::Month),
            Just(TimeUnit::Year),
        ];
        let kind = prop_oneof![
            Just(WindowKind::Fixed),
            Just(WindowKind::Sliding),
            Just(WindowKind::Bucket),
        ];
        (unit, 0..40u32, kind)
            .prop_map(|(unit, count, kind)| WindowSpec::new(unit, count).counted(kind))
    }

    #[test]
    fn a_window_that_slides_has_panes_of_half_a_second_at_least_and_a_hundred_at_most() {
        let panes = |unit, count| {
            let spec = WindowSpec::new(unit, count).counted(WindowKind::Sliding);
            (spec.at(0).length_ms(), spec.span_ms())
        };
        assert_eq!(panes(TimeUnit::Sec, 1), (100, 1_000));
        assert_eq!(panes(TimeUnit::Sec, 20), (500, 20_000));
        assert_eq!(panes(TimeUnit::Min, 1), (600, 60_000));
        assert_eq!(panes(TimeUnit::Hour, 1), (36_000, 3_600_000));
        assert_eq!(panes(TimeUnit::Month, 1), (26_784_000, 31 * DAY_MS));
        assert_eq!(panes(TimeUnit::Year, 1).1, 366 * DAY_MS);
    }

    proptest! {
        #[test]
        fn every_time_lies_in_exactly_one_window(spec in any_spec(), t in -4_000_000_000_000i64..8_000_000_000_000) {
            let window = spec.at(t);
            prop_assert!(window.start_ms <= t && t < window.end_ms);
            prop_assert_eq!(spec.at(window.start_ms), window);
            prop_assert_eq!(spec.at(window.end_ms - 1), window);
            prop_assert_eq!(spec.at(window.end_ms).id.number, window.id.number + 1);
            prop_assert_eq!(spec.numbered(window.id.number), window);
        }

        #[test]
        fn units_count_from_the_first_pane_that_reaches_so_far(spec in any_spec(), t in -4_000_000_000_000i64..8_000_000_000_000) {
            let window = spec.at(t);
            let first = spec.at(window.counts_from_ms());
            prop_assert!(first.counts_until_ms() > window.start_ms);
            prop_assert!(spec.numbered(first.id.number - 1).counts_until_ms() <= window.start_ms);
        }

        #[test]
        fn a_window_is_read_as_it_was_written(spec in any_spec()) {
            let json = serde_json::to_string(&spec).unwrap();
            prop_assert_eq!(serde_json::from_str::<WindowSpec>(&json).unwrap(), spec);
            let plain = !spec.is_paned();
            prop_assert_eq!(json.contains(&format!("\"count\":{}}}", spec.count)), plain);
        }

        #[test]
        fn months_agree_with_the_calendar(t in -4_000_000_000_000i64..8_000_000_000_000) {
            let date = jiff::Timestamp::from_millisecond(t).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
            let window = WindowSpec::new(TimeUnit::Month, 1).at(t);
            let expected = i64::from(date.year() - 1970) * 12 + i64::from(date.month()) - 1;
            prop_assert_eq!(window.id.number, expected);
        }

        #[test]
        fn any_time_at_all_gives_a_window(spec in any_spec(), t in any::<i64>(), number in any::<i64>()) {
            spec.at(t);
            spec.numbered(number);
        }
    }
}
