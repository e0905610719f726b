//! Failed logins and the pauses they cost (threat 14): pure, time is a parameter.
//!
//! They are counted per account and address, so that a stranger who guesses at an account pauses
//! himself and nobody else. Guesses from many addresses meet a second, looser brake on the
//! account; whoever signed in from an address before is not held by it there. Pauses grow with
//! each failure and stay short.

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};

use super::failures::{Failed, Failures, Key};

/// Accounts and addresses whose failures are remembered, and accounts alone.
const REMEMBERED: usize = 10_000;

/// How failures become pauses.
#[derive(Debug, Clone, Copy)]
struct Brake {
    /// Failures that cost none.
    free: u32,
    /// The longest pause; the first one is a second, and each is twice the one before.
    longest_ms: i64,
}

/// One account from one address.
const ADDRESS: Brake = Brake {
    free: 4,
    longest_ms: 5 * 60 * 1_000,
};
/// One account from all addresses together.
const ACCOUNT: Brake = Brake {
    free: 100,
    longest_ms: 30 * 1_000,
};

/// Failed attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    by_address: Failures,
    by_account: Failures,
    /// Accounts and addresses that signed in before; counted like failures, so bounded like them.
    at_home: Failures,
}

/// Who tries, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    account: Key,
    pair: Key,
}

// === impl Brake ===

impl Brake {
    fn holds(self, failed: Option<Failed>, now_ms: i64) -> bool {
        let Some(failed) = failed else {
            return false;
        };
        let Some(doublings) = failed.times.checked_sub(self.free.saturating_add(1)) else {
            return false;
        };
        let pause = 1_000_i64 << doublings.min(20);
        now_ms < failed.last_ms.saturating_add(pause.min(self.longest_ms))
    }
}

// === impl Attempt ===

impl Attempt {
    /// An attempt at an account from an address. Whoever has one IPv6 address has its whole
    /// network of 2^64, so that counts as one.
    pub(super) fn new(account: &str, address: IpAddr) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(account.as_bytes());
        let account = finished(context.clone());
        match address.to_canonical() {
            IpAddr::V4(v4) => context.update(&v4.octets()),
            IpAddr::V6(v6) => context.update(&(u128::from(v6) >> 64).to_be_bytes()),
        }
        // What precedes is of any length, the address is not: no account contains another's pair.
        context.update(b"\0address");
        Self {
            account,
            pair: finished(context),
        }
    }
}

// === impl Attempts ===

impl Default for Attempts {
    fn default() -> Self {
        Self {
            by_address: Failures::new(REMEMBERED),
            by_account: Failures::new(REMEMBERED),
            at_home: Failures::new(REMEMBERED),
        }
    }
}

impl Attempts {
    /// Whether an attempt has to wait.
    pub(super) fn is_held(&self, attempt: &Attempt, now_ms: i64) -> bool {
        if ADDRESS.holds(self.by_address.of(&attempt.pair, now_ms), now_ms) {
            return true;
        }
        !self.at_home.is_known(&attempt.pair)
            && ACCOUNT.holds(self.by_account.of(&attempt.account, now_ms), now_ms)
    }

    /// Notes an attempt; gives whether it is let through: right, and not held.
    pub(super) fn admit(&mut self, attempt: &Attempt, right: bool, now_ms: i64) -> bool {
        if self.is_held(attempt, now_ms) {
            return false;
        }
        if right {
            // The account's own count stays: others may be guessing still.
            self.by_address.forget(&attempt.pair);
            self.at_home.add(attempt.pair, now_ms);
        } else {
            self.by_address.add(attempt.pair, now_ms);
            self.by_account.add(attempt.account, now_ms);
        }
        right
    }
}

fn finished(context: Context) -> Key {
    context.finish().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::failures::FORGIVEN_MS;
    use super::*;

    fn from(address: &str) -> Attempt {
        Attempt::new("ann", address.parse().unwrap())
    }

    fn numbered(number: u32) -> Attempt {
        Attempt::new("ann", IpAddr::from(number.to_be_bytes()))
    }

    fn fail(attempts: &mut Attempts, attempt: &Attempt, times: u32, now_ms: i64) {
        for _ in 0..times {
            assert!(!attempts.admit(attempt, false, now_ms));
        }
    }

    #[test]
    fn the_fifth_failure_pauses_an_address_for_a_second_and_nobody_elsewhere() {
        let (mut attempts, stranger) = (Attempts::default(), from("203.0.113.9"));
        fail(&mut attempts, &stranger, 4, 0);
        assert!(!attempts.is_held(&stranger, 0));
        fail(&mut attempts, &stranger, 1, 0);
        assert!(!attempts.admit(&stranger, true, 999));
        assert!(attempts.admit(&from("198.51.100.1"), true, 1), "elsewhere");
        let other = Attempt::new("bob", "203.0.113.9".parse().unwrap());
        assert!(attempts.admit(&other, true, 1), "another account");
        assert!(attempts.admit(&stranger, true, 1_000));
        fail(&mut attempts, &stranger, 4, 1_000);
        assert!(!attempts.is_held(&stranger, 1_000), "it starts anew");
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_are_forgiven_after_an_hour() {
        let (mut attempts, ann) = (Attempts::default(), from("203.0.113.9"));
        fail(&mut attempts, &ann, 4, 0);
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..12 {
            fail(&mut attempts, &ann, 1, now);
            let pause = (0..)
                .map(|seconds| seconds * 1_000)
                .find(|ms| !attempts.is_held(&ann, now + ms))
                .unwrap();
            pauses.push(pause / 1_000);
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        fail(&mut attempts, &ann, 1, now + FORGIVEN_MS);
        assert!(!attempts.is_held(&ann, now + FORGIVEN_MS));
    }

    #[test]
    fn attempts_while_held_do_not_lengthen_the_pause() {
        let (mut attempts, ann) = (Attempts::default(), from("203.0.113.9"));
        fail(&mut attempts, &ann, 5, 0);
        fail(&mut attempts, &ann, 100, 999);
        assert!(attempts.admit(&ann, true, 1_000));
    }

    #[test]
    fn guesses_from_many_addresses_brake_the_account_but_not_where_its_owner_is_at_home() {
        let (mut attempts, home) = (Attempts::default(), from("198.51.100.1"));
        assert!(attempts.admit(&home, true, 0));
        for number in 1..=100 {
            fail(&mut attempts, &numbered(number), 1, 0);
        }
        assert!(!attempts.is_held(&numbered(999), 0), "not braked yet");
        fail(&mut attempts, &numbered(101), 1, 0);
        assert!(attempts.is_held(&numbered(999), 999));
        assert!(attempts.admit(&home, true, 999));
        assert!(!attempts.is_held(&numbered(999), 1_000));
        let (mut now, mut longest) = (1_000, 0);
        for number in 0..50 {
            fail(&mut attempts, &numbered(1_000 + number), 1, now);
            let pause = (0..)
                .map(|seconds| seconds * 1_000)
                .find(|ms| !attempts.is_held(&numbered(999), now + ms))
                .unwrap();
            longest = longest.max(pause);
            now += pause;
        }
        assert_eq!(longest, 30_000);
        assert!(attempts.admit(&home, true, now));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address_and_a_mapped_one_is_the_ipv4_address() {
        let mut attempts = Attempts::default();
        for last in 0..5 {
            let address = format!("2001:db8::{last}");
            fail(&mut attempts, &from(&address), 1, 0);
        }
        assert!(attempts.is_held(&from("2001:db8::ffff:1"), 0));
        assert!(!attempts.is_held(&from("2001:db8:0:1::1"), 0));
        fail(&mut attempts, &from("::ffff:203.0.113.9"), 5, 0);
        assert!(attempts.is_held(&from("203.0.113.9"), 0));
    }
}
