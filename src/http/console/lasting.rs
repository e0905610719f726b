//! How long something has lasted, in words that fit a table.

use std::time::Duration;

/// In its largest unit, and the next one where that says something. What is younger than a minute is told roughly: a
/// table that counted seconds would be another one each time that it is looked at.
pub(super) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => "under 10 s".to_owned(),
        (0, 0, 0) => "under a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

/// Nanoseconds of work, in the unit that leaves few digits.
pub(super) fn work(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000_000 => format!("{} µs", nanoseconds / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanoseconds / 1_000_000),
        _ => format!("{:.1} s", nanoseconds as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_units_and_stay_as_they_are_for_a_while() {
        let words = |seconds| words(Duration::from_secs(seconds));
        assert_eq!((words(0), words(9)), ("under 10 s".to_owned(), words(0)));
        assert_eq!(
            (words(10), words(59)),
            ("under a minute".to_owned(), words(10))
        );
        assert_eq!((words(60), words(119)), ("1 min".to_owned(), words(60)));
        assert_eq!(words(7_260), "2 h 1 min");
        assert_eq!(words(90_000), "1 d 1 h");
        assert_eq!(work(1_500), "1 µs");
        assert_eq!(work(2_000_000), "2 ms");
        assert_eq!(work(1_250_000_000), "1.2 s");
    }
}
