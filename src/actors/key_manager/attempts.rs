//! Failed logins per account and the pauses they cost (threat 14): pure, time is a parameter.
//!
//! The pause grows with each failure and stays short, so that guessing is slow and yet nobody can
//! lock another out for long. What is remembered is bounded: the longest unused account goes first.

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};

/// Failures that cost no pause.
const FREE: u32 = 4;
/// The pause after the next one; it doubles with each further one.
const FIRST_PAUSE_MS: i64 = 1_000;
/// The longest pause.
const LONGEST_PAUSE_MS: i64 = 5 * 60 * 1_000;
/// After so long without a failure an account starts anew.
const FORGIVEN_MS: i64 = 60 * 60 * 1_000;
/// Accounts whose failures are remembered.
const REMEMBERED: usize = 10_000;

/// A name of any length in 32 bytes.
type Account = [u8; 32];

/// Failed attempts per account.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    accounts: HashMap<Account, Failures>,
    /// The same, the longest unused first.
    by_age: BTreeSet<(i64, Account)>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: i64,
}

// === impl Attempts ===

impl Attempts {
    /// Whether an account has to wait.
    pub(super) fn is_locked(&self, account: &str, now_ms: i64) -> bool {
        let failures = self.accounts.get(&key(account));
        failures.is_some_and(|failures| now_ms < failures.locked_until_ms())
    }

    /// Notes an attempt; gives whether it is let through: right, and the account not locked.
    pub(super) fn admit(&mut self, account: &str, right: bool, now_ms: i64) -> bool {
        let account = key(account);
        let known = self.accounts.get(&account).copied();
        if known.is_some_and(|failures| now_ms < failures.locked_until_ms()) {
            return false;
        }
        if let Some(failures) = known {
            self.accounts.remove(&account);
            self.by_age.remove(&(failures.last_ms, account));
        }
        if right {
            return true;
        }
        let recent = known.filter(|failures| now_ms - failures.last_ms < FORGIVEN_MS);
        let failures = Failures {
            count: recent
                .map_or(0, |failures| failures.count)
                .saturating_add(1),
            last_ms: now_ms,
        };
        if self.accounts.len() >= REMEMBERED
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.accounts.remove(&oldest);
        }
        self.accounts.insert(account, failures);
        self.by_age.insert((now_ms, account));
        false
    }
}

// === impl Failures ===

impl Failures {
    fn locked_until_ms(self) -> i64 {
        let Some(doublings) = self.count.checked_sub(FREE + 1) else {
            return self.last_ms;
        };
        let pause = FIRST_PAUSE_MS << doublings.min(20);
        self.last_ms + pause.min(LONGEST_PAUSE_MS)
    }
}

fn key(account: &str) -> Account {
    let hash = digest(&SHA256, account.as_bytes());
    hash.as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(attempts: &mut Attempts, times: u32, now_ms: i64) {
        for _ in 0..times {
            assert!(!attempts.admit("ann", false, now_ms));
        }
    }

    #[test]
    fn the_fifth_failure_pauses_an_account_for_a_second_and_the_right_password_clears_it() {
        let mut attempts = Attempts::default();
        fail(&mut attempts, FREE, 0);
        assert!(!attempts.is_locked("ann", 0));
        fail(&mut attempts, 1, 0);
        assert!(!attempts.admit("ann", true, FIRST_PAUSE_MS - 1));
        assert!(attempts.admit("bob", true, 1), "others are not locked");
        assert!(attempts.admit("ann", true, FIRST_PAUSE_MS));
        fail(&mut attempts, FREE, FIRST_PAUSE_MS);
        assert!(!attempts.is_locked("ann", FIRST_PAUSE_MS), "it starts anew");
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_are_forgiven_after_an_hour() {
        let mut attempts = Attempts::default();
        fail(&mut attempts, FREE, 0);
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..12 {
            fail(&mut attempts, 1, now);
            let pause = (0..)
                .map(|seconds| seconds * 1_000)
                .find(|ms| !attempts.is_locked("ann", now + ms))
                .unwrap();
            pauses.push(pause / 1_000);
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        fail(&mut attempts, 1, now + FORGIVEN_MS);
        assert!(!attempts.is_locked("ann", now + FORGIVEN_MS));
    }

    #[test]
    fn attempts_while_locked_do_not_lengthen_the_pause() {
        let mut attempts = Attempts::default();
        fail(&mut attempts, FREE + 1, 0);
        fail(&mut attempts, 100, FIRST_PAUSE_MS - 1);
        assert!(attempts.admit("ann", true, FIRST_PAUSE_MS));
    }

    #[test]
    fn new_accounts_are_counted_however_many_are_known_and_the_oldest_is_forgotten() {
        let mut attempts = Attempts::default();
        for (at, number) in (0..).zip(0..REMEMBERED + 500) {
            attempts.admit(&number.to_string(), false, at);
        }
        assert_eq!(attempts.accounts.len(), REMEMBERED);
        assert_eq!(attempts.by_age.len(), REMEMBERED);
        fail(&mut attempts, FREE + 1, 20_000);
        assert!(attempts.is_locked("ann", 20_000));
        assert!(!attempts.accounts.contains_key(&key("0")));
    }
}
