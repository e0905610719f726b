//! What calls go by while nobody grants units of a key (PROTOCOLS L8), where their policy's mode lets them: a share of
//! the limit, or everything. It claims nothing: who takes a share may have had units of an owner in the same window.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster::AskError;
use domain::ledger::Outcome;
use domain::policy::{Mode, WindowKind};
use domain::window::WindowSpec;
use foldhash::fast::FixedState;

use super::lease_cache::KeyParts;
use super::locked;
use super::policy_rule::CountedLimit;
use crate::traffic_manager::message::{LeaseAnswer, Leased, ThrottleKey};

/// A question that nobody answered says so for so long: longer than the next one takes until nobody has answered that by
/// either way (2.1 s), lest a shard whose owner hangs pass for owned in between.
const SAYS_SO_MS: i64 = 3_000;
/// Keys whose share is counted at most; others have none.
const KEYS: usize = 65_536;

/// Which shards nobody answers for, and what was let through meanwhile.
#[derive(Debug, Default)]
pub(super) struct Unowned {
    /// The shards that nobody answered for, and when, on the steady clock.
    silent: Mutex<BTreeMap<u16, i64>>,
    /// The most gateways that were seen at once.
    gateways: AtomicU64,
    shares: Mutex<Shares>,
}

/// What was let through of each key: the window's number and its end, and how much.
type Shares = HashMap<ThrottleKey, (i64, i64, u64), FixedState>;

/// Whether an answer shows that somebody grants units of a shard: of an owner that waits for its view, or for others to
/// know of what it would say, it shows that nobody does. None where nothing was wanted.
pub(super) fn grants(
    mut wants: impl Iterator<Item = bool>,
    answer: &Result<Leased, AskError>,
) -> Option<bool> {
    let answers = match answer {
        Ok(Leased::Leases(answers)) => answers,
        Ok(Leased::Behind { .. }) => return Some(true),
        Ok(Leased::NotOwner) | Err(_) => return Some(false),
    };
    let waits = |answer: &LeaseAnswer| {
        answer.window.is_none() && matches!(answer.outcome, Outcome::Retry { .. })
    };
    let mut said = answers.iter().flatten();
    if said.any(|answer| !waits(answer)) {
        return Some(true);
    }
    wants.any(|wants| wants).then_some(false)
}

// === impl Unowned ===

impl Unowned {
    /// Nobody answered for a shard. True when somebody had before.
    pub(super) fn is_silent(&self, shard: u16, now_ms: i64) -> bool {
        let before_ms = locked(&self.silent).insert(shard, now_ms);
        before_ms.is_none_or(|before_ms| now_ms.saturating_sub(before_ms) >= SAYS_SO_MS)
    }

    /// Somebody answered for it.
    pub(super) fn answers(&self, shard: u16) {
        locked(&self.silent).remove(&shard);
    }

    /// Whether nobody answers for a shard now.
    pub(super) fn has(&self, shard: u16, now_ms: i64) -> bool {
        let silent = locked(&self.silent);
        let since_ms = silent.get(&shard);
        since_ms.is_some_and(|since_ms| now_ms.saturating_sub(*since_ms) < SAYS_SO_MS)
    }

    /// So many gateways are seen now. One that is not seen may let calls through all the same, so the most count.
    pub(super) fn sees_gateways(&self, gateways: usize) {
        let gateways = u64::try_from(gateways).unwrap_or(u64::MAX);
        self.gateways.fetch_max(gateways, Ordering::AcqRel);
    }

    /// Whether a call goes on without units of this limit, and counts it.
    pub(super) fn lets_through(
        &self,
        parts: KeyParts<'_>,
        limit: &CountedLimit,
        mode: Mode,
        units: u32,
        at_ms: i64,
    ) -> bool {
        let lets = match mode {
            Mode::Exact => false,
            Mode::Allow => true,
            Mode::Share => self.takes_share(parts.to_key(), limit, units, at_ms),
        };
        if lets {
            metrics::counter!("headgate_throttle_unowned_calls_total", "mode" => mode.as_str())
                .increment(1);
        }
        lets
    }

    fn takes_share(&self, key: ThrottleKey, limit: &CountedLimit, units: u32, at_ms: i64) -> bool {
        let share = limit.units / self.gateways.load(Ordering::Acquire).max(1);
        // Of all kinds of windows by fixed ones: what slides here begins with nothing known of what was before.
        let WindowSpec { unit, count, .. } = limit.window.counted(WindowKind::Fixed);
        let window = WindowSpec::new(unit, count).at(at_ms);
        let mut shares = locked(&self.shares);
        if shares.len() >= KEYS && !shares.contains_key(&key) {
            shares.retain(|_, (_, end_ms, _)| at_ms < *end_ms);
            if shares.len() >= KEYS {
                return false;
            }
        }
        let number = window.id.number;
        let taken = shares.entry(key).or_insert((number, window.end_ms, 0));
        if taken.0 < number {
            *taken = (number, window.end_ms, 0);
        }
        let most = taken.2.saturating_add(u64::from(units));
        if most > share {
            return false;
        }
        taken.2 = most;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::policy::{Policy, PolicyLevel};

    use super::super::policy_rule::PolicyRule;

    const PARTS: KeyParts<'static> = KeyParts {
        tenant: "t",
        level: PolicyLevel::Subscription,
        policy: "Gold",
        limit: 0,
        subject: "s",
    };

    fn limit(units: u64) -> std::sync::Arc<CountedLimit> {
        let mut policy = Policy::defaults("t", String::new).remove(0);
        policy.limit.as_mut().unwrap().units = units;
        let rule = PolicyRule::compile(policy);
        std::sync::Arc::clone(rule.limit("::1".parse().unwrap()).unwrap())
    }

    #[test]
    fn a_share_is_the_limit_by_the_most_gateways_ever_seen_once_in_each_window() {
        let (unowned, limit) = (Unowned::default(), limit(10));
        unowned.sees_gateways(3);
        unowned.sees_gateways(1);
        let let_through = |at_ms| {
            let calls = 0..20;
            let lets = |_: &u64| unowned.lets_through(PARTS, &limit, Mode::Share, 1, at_ms);
            calls.filter(lets).count()
        };
        assert_eq!(let_through(59_000), 3);
        assert_eq!(let_through(59_999), 0);
        assert_eq!(let_through(60_000), 3);
        // A clock that is set back begins no window anew.
        assert_eq!(let_through(59_000), 0);
    }

    #[test]
    fn what_is_to_be_exact_is_never_let_through_and_what_allows_always() {
        let (unowned, limit) = (Unowned::default(), limit(1));
        let lets = |mode| unowned.lets_through(PARTS, &limit, mode, 1, 0);
        assert!(!lets(Mode::Exact));
        assert!((0..9).all(|_| lets(Mode::Allow)));
    }

    #[test]
    fn an_owner_that_grants_nothing_yet_is_none() {
        let window = WindowSpec::new(domain::policy::TimeUnit::Min, 1).at(0).id;
        let answer = |window, outcome| LeaseAnswer {
            stamp: domain::ledger::Stamp::default(),
            window,
            remaining_ms: 0,
            granted: 0,
            limit: 0,
            left: 0,
            outcome,
        };
        let retry = Outcome::Retry { after_ms: 200 };
        let (waits, recalls) = (answer(None, retry), answer(Some(window), retry));
        let of = |answers: Vec<Option<LeaseAnswer>>, want| {
            let wants = answers.iter().map(|_| want).collect::<Vec<bool>>();
            grants(wants.into_iter(), &Ok(Leased::Leases(answers)))
        };
        assert_eq!(of(vec![Some(waits.clone()), None], true), Some(false));
        assert_eq!(
            of(vec![None], true),
            Some(false),
            "standby or disk is silent"
        );
        assert_eq!(of(vec![None], false), None, "it only gave back");
        assert_eq!(of(vec![Some(waits), Some(recalls)], true), Some(true));
        let refused = answer(None, Outcome::UnknownPolicy);
        assert_eq!(of(vec![Some(refused)], true), Some(true));
        let nobody = Err(AskError::Timeout);
        assert_eq!(grants(std::iter::once(true), &nobody), Some(false));
    }

    #[test]
    fn a_shard_is_without_an_owner_from_an_unanswered_question_until_an_answer_or_for_a_while() {
        let unowned = Unowned::default();
        assert!(!unowned.has(7, 0));
        assert!(unowned.is_silent(7, 1_000), "somebody has to be told");
        assert!(!unowned.is_silent(7, 1_100));
        assert!(unowned.has(7, 4_099));
        assert!(!unowned.has(8, 1_100));
        assert!(!unowned.has(7, 4_100), "nobody has asked since");
        assert!(unowned.is_silent(7, 5_000));
        unowned.answers(7);
        assert!(!unowned.has(7, 5_000));
    }

    #[test]
    fn a_shard_whose_owner_hangs_is_without_an_owner_from_one_question_to_the_next() {
        let (unowned, mut now_ms) = (Unowned::default(), 0);
        assert!(unowned.is_silent(7, now_ms));
        for _question in 0..5 {
            let put_ms = now_ms;
            // Both ways take all the time that they may, and a pause follows.
            now_ms += i64::try_from(crate::traffic_manager::LONGEST_QUESTION.as_millis()).unwrap();
            now_ms += i64::try_from(super::super::refiller::AGAIN.as_millis()).unwrap();
            assert!((put_ms..=now_ms).all(|at_ms| unowned.has(7, at_ms)));
            assert!(!unowned.is_silent(7, now_ms), "nobody has answered since");
        }
    }
}
