//! How long a call that flows goes on, once a change has touched what it rests on (S2): as long as a
//! new one would be let in, and for a bounded time where nobody can tell.

/// Whether a credential still holds is asked again after so long, where nobody could tell,
/// milliseconds.
pub const AGAIN_MS: i64 = 500;
/// A call of which nobody can tell that for so long is cut, cut off or not: what it rests on was
/// touched, and a new call would be refused at once. Milliseconds.
pub const UNSURE_MS: i64 = 5_000;
/// How often it is looked at whether calls may be served at all (S1, S5), milliseconds.
pub const LOOK_MS: i64 = 1_000;
/// Looks that find that they may not, after which no open call goes on.
const LOOKS: u32 = 4;

/// What comes of judging a call anew as one that comes now; `F` is what that one is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged<F> {
    /// It would be let in.
    Stands,
    /// It would be refused.
    Ended(F),
    /// Nobody can tell now.
    Unsure(F),
}

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<F> {
    /// It goes on, until something else changes.
    GoesOn,
    /// It goes on, and is judged again soon.
    Again,
    /// It ends now.
    Cut(F),
}

/// Since when it is not known whether one call stands.
#[derive(Debug, Default)]
pub struct Patience {
    since_ms: Option<i64>,
}

/// How long no call may be served.
#[derive(Debug, Default)]
pub struct Unserved {
    looks: u32,
}

// === impl Patience ===

impl Patience {
    /// A judgement begins at `now_ms` of the boot clock; gives how long it may take, milliseconds. The
    /// time that nobody can tell counts from the first one, for whoever is asked may be silent for
    /// long.
    pub fn begin(&mut self, now_ms: i64) -> i64 {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let waited_ms = now_ms.saturating_sub(since_ms);
        UNSURE_MS.saturating_sub(waited_ms).max(0)
    }

    /// What follows from a judgement that is done at `now_ms`.
    pub fn step<F>(&mut self, judged: Judged<F>, now_ms: i64) -> Next<F> {
        match judged {
            Judged::Stands => {
                self.since_ms = None;
                Next::GoesOn
            }
            Judged::Ended(fault) => Next::Cut(fault),
            Judged::Unsure(fault) if self.begin(now_ms) == 0 => Next::Cut(fault),
            Judged::Unsure(_) => Next::Again,
        }
    }
}

// === impl Unserved ===

impl Unserved {
    /// One look; whether all open calls are to end.
    pub const fn look(&mut self, is_served: bool) -> bool {
        self.looks = if is_served { 0 } else { self.looks + 1 };
        self.looks >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_which_nobody_can_tell_is_cut_after_a_while_and_a_word_that_it_stands_begins_anew()
    {
        let mut patience = Patience::default();
        assert_eq!(patience.begin(0), UNSURE_MS);
        assert_eq!(patience.step(Judged::Unsure(1), 2_000), Next::Again);
        // However long whoever was asked said nothing.
        assert_eq!(patience.begin(2_500), UNSURE_MS - 2_500);
        assert_eq!(patience.step(Judged::<u8>::Stands, 4_999), Next::GoesOn);
        let later = 10 * UNSURE_MS;
        assert_eq!(patience.begin(later), UNSURE_MS);
        let over = later + UNSURE_MS;
        assert_eq!(patience.step(Judged::Unsure(2), over - 1), Next::Again);
        assert_eq!(patience.step(Judged::Unsure(3), over), Next::Cut(3));
        assert_eq!(
            Patience::default().step(Judged::Ended(4), 0),
            Next::Cut(4),
            "who knows does not wait"
        );
    }

    #[test]
    fn one_look_that_finds_calls_served_saves_them_and_some_in_a_row_that_do_not_end_them() {
        let mut unserved = Unserved::default();
        let mut looks = |is_served: &[bool]| {
            let looks = is_served.iter().map(|is_served| unserved.look(*is_served));
            looks.collect::<Vec<_>>()
        };
        assert_eq!(looks(&[false, false, false]), [false; 3]);
        assert_eq!(looks(&[true, false, false, false]), [false; 4]);
        assert_eq!(looks(&[false, false, true]), [true, true, false]);
    }
}
