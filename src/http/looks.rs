//! Who looks at what operators see: lines of the audit log, not one for each time that a page renews itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long whoever looks at the same again is not told of.
const AGAIN: Duration = Duration::from_secs(60);
/// The most looks that are remembered; one more is told of each time, until others are old.
const MOST: usize = 1_000;
/// The most characters of what is looked at that are told.
const SHOWN: usize = 300;

/// Somebody who looks at something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look {
    /// User name without tenant.
    pub(crate) user: String,
    /// Tenant domain.
    pub(crate) tenant: String,
    /// Where they come from.
    pub(crate) address: IpAddr,
    /// The path, with its query.
    pub(crate) at: String,
}

/// The looks of the last minute, and when each was told of, on the boot clock.
#[derive(Debug, Default)]
pub struct Looks(Mutex<BTreeMap<Look, Duration>>);

// === impl Looks ===

impl Looks {
    /// Tells of somebody's look, before anything is shown to them.
    pub(crate) fn tell(&self, mut look: Look, now: Duration) {
        if let Some((end, _)) = look.at.char_indices().nth(SHOWN) {
            look.at.truncate(end);
        }
        if self.is_new(&look, now) {
            let Look {
                user,
                tenant,
                address,
                at,
            } = look;
            tracing::info!(target: "audit", %user, %tenant, %address, at, "somebody looks at the cluster");
        }
    }

    fn is_new(&self, look: &Look, now: Duration) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |told: &Duration| now.saturating_sub(*told) < AGAIN;
        if known.get(look).is_some_and(is_recent) {
            return false;
        }
        if known.len() >= MOST {
            known.retain(|_, told| is_recent(told));
        }
        if known.len() < MOST {
            known.insert(look.clone(), now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn look(user: &str, last: u8, at: &str) -> Look {
        Look {
            user: user.to_owned(),
            tenant: "carbon.super".to_owned(),
            address: Ipv4Addr::new(192, 0, 2, last).into(),
            at: at.to_owned(),
        }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_look_is_told_of_once_a_minute_and_each_other_one_at_once() {
        let looks = Looks::default();
        assert!(looks.is_new(&look("ann", 1, "/admin/"), at(0)));
        for other in [
            look("bob", 1, "/admin/"),
            look("ann", 2, "/admin/"),
            look("ann", 1, "/admin/cluster"),
        ] {
            assert!(looks.is_new(&other, at(1)), "{other:?}");
        }
        assert!(!looks.is_new(&look("ann", 1, "/admin/"), at(2)));
        assert!(!looks.is_new(&look("ann", 1, "/admin/"), at(59)));
        assert!(looks.is_new(&look("ann", 1, "/admin/"), at(60)));
        assert!(!looks.is_new(&look("ann", 1, "/admin/"), at(61)));
    }

    #[test]
    fn more_looks_than_are_remembered_are_all_told_of_and_old_ones_make_room() {
        let looks = Looks::default();
        let numbered = |number: usize| look("ann", 1, &number.to_string());
        for number in 0..=MOST {
            assert!(looks.is_new(&numbered(number), at(0)));
        }
        assert!(looks.is_new(&numbered(MOST), at(1)), "it is not remembered");
        assert!(!looks.is_new(&numbered(0), at(1)));
        assert!(looks.is_new(&numbered(MOST), at(60)));
        assert!(!looks.is_new(&numbered(MOST), at(61)));
    }
}
