//! One throttling policy with what requests need of it, computed once when it is applied: which limit counts for whom,
//! under which number, how it is advertised.

use std::net::IpAddr;
use std::sync::Arc;

use domain::condition::Conditions;
use domain::policy::{Limit, Policy, QuotaUnit, WindowKind};
use domain::window::WindowSpec;
use http::HeaderValue;

/// A policy ready for requests.
#[derive(Debug)]
pub struct PolicyRule {
    /// The policy.
    pub policy: Policy,
    default: Option<Arc<CountedLimit>>,
    burst: Option<Arc<CountedLimit>>,
    groups: Vec<(Conditions, Arc<CountedLimit>)>,
}

/// One limit of a policy.
#[derive(Debug)]
pub struct CountedLimit {
    /// Units a window.
    pub units: u64,
    /// What a unit is; requests or bytes.
    pub quota: QuotaUnit,
    /// The window.
    pub window: WindowSpec,
    /// Names its count among those of its policy.
    pub number: u16,
    /// The name it is advertised by, as a string of structured fields: `"Gold"`.
    pub quoted: String,
    /// `"Gold";q=5000;w=60` (draft-ietf-httpapi-ratelimit-headers).
    pub advertised: Option<HeaderValue>,
}

// === impl PolicyRule ===

impl PolicyRule {
    /// Makes a policy ready.
    #[must_use]
    pub fn compile(policy: Policy) -> Self {
        let (name, kind) = (policy.name.as_str(), policy.options.window);
        let limit = policy.numbered_limit();
        let burst = policy.numbered_burst();
        let groups = policy.numbered_groups().zip(1..);
        let groups = groups.filter_map(|((number, group), place)| {
            let conditions = Conditions::compile(&group.conditions);
            let name = format!("{name}_condition_{place}");
            let limit = CountedLimit::new(&name, (number, &group.limit), kind);
            conditions.zip(limit)
        });
        Self {
            default: limit.and_then(|limit| CountedLimit::new(name, limit, kind)),
            burst: burst.and_then(|limit| CountedLimit::new(&format!("{name}_burst"), limit, kind)),
            groups: groups.collect(),
            policy,
        }
    }

    /// The limit that counts for a caller at this address: of the first group whose conditions hold, else the default
    /// one.
    #[must_use]
    pub fn limit(&self, address: IpAddr) -> Option<&Arc<CountedLimit>> {
        let group = self
            .groups
            .iter()
            .find(|(conditions, _)| conditions.hold(address));
        group.map(|(_, limit)| limit).or(self.default.as_ref())
    }

    /// The limit of short bursts, on top of the other.
    #[must_use]
    pub const fn burst(&self) -> Option<&Arc<CountedLimit>> {
        self.burst.as_ref()
    }

    /// The limit with this number.
    #[must_use]
    pub fn counted(&self, number: u16) -> Option<&Arc<CountedLimit>> {
        let groups = self.groups.iter().map(|(_, limit)| limit);
        let all = self.default.iter().chain(&self.burst).chain(groups);
        all.into_iter().find(|limit| limit.number == number)
    }
}

// === impl CountedLimit ===

impl CountedLimit {
    /// None for events: there are no streaming APIs yet that could have any.
    fn new(name: &str, (number, limit): (u16, &Limit), kind: WindowKind) -> Option<Arc<Self>> {
        let window = limit.window(kind);
        let length_ms = if window.is_paned() {
            window.span_ms()
        } else {
            window.at(0).length_ms()
        };
        let (quoted, seconds) = (quoted(name), length_ms / 1_000);
        let unit = match limit.quota {
            QuotaUnit::Requests => "",
            QuotaUnit::Bytes => ";qu=\"content-bytes\"",
            QuotaUnit::Events => return None,
        };
        let advertised = format!("{quoted};q={}{unit};w={seconds}", limit.units);
        Some(Arc::new(Self {
            units: limit.units,
            quota: limit.quota,
            window,
            number,
            quoted,
            advertised: HeaderValue::try_from(advertised).ok(),
        }))
    }
}

/// A name as a string of structured fields (RFC 9651 §3.3.3).
fn quoted(name: &str) -> String {
    let plain = name.chars().filter(|c| matches!(c, ' '..='~'));
    let mut text = String::from("\"");
    for c in plain {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::policy::{Condition, ConditionTest, ConditionalGroup, PolicyLevel};

    fn policy() -> Policy {
        let mut policy = Policy::defaults("t", String::new).remove(0);
        policy.level = PolicyLevel::Api;
        policy
    }

    fn group(units: u64, quota: QuotaUnit, test: ConditionTest) -> ConditionalGroup {
        let limit = policy().limit.unwrap();
        ConditionalGroup {
            description: String::new(),
            conditions: vec![Condition {
                invert: false,
                test,
            }],
            limit: Limit {
                units,
                quota,
                ..limit
            },
        }
    }

    fn counted<'a>(rule: &'a PolicyRule, address: &str) -> (&'a str, u64, u16) {
        let limit = rule.limit(address.parse().unwrap()).unwrap();
        (limit.quoted.as_str(), limit.units, limit.number)
    }

    #[test]
    fn the_first_group_that_holds_counts_under_its_own_number_else_the_default_limit() {
        let (from, to) = ("10.0.0.0".to_owned(), "10.0.0.255".to_owned());
        let one = ConditionTest::Address("10.0.0.7".to_owned());
        let unknown = ConditionTest::Header("x".to_owned(), "y".to_owned());
        let mut policy = policy();
        policy.groups = vec![
            group(1, QuotaUnit::Requests, unknown),
            group(7, QuotaUnit::Bytes, one),
            group(
                9,
                QuotaUnit::Requests,
                ConditionTest::AddressRange(from, to),
            ),
        ];
        let rule = PolicyRule::compile(policy);
        assert_eq!(
            counted(&rule, "10.0.0.7"),
            ("\"Gold_condition_2\"", 7, 0x8003)
        );
        assert_eq!(counted(&rule, "10.0.0.8"), ("\"Gold_condition_3\"", 9, 4));
        assert_eq!(counted(&rule, "10.0.1.8"), ("\"Gold\"", 5_000, 0));
        assert_eq!(rule.counted(4).map(|limit| limit.units), Some(9));
        assert!(rule.counted(2).is_none(), "it never holds");
    }

    #[test]
    fn what_is_counted_is_advertised_with_its_unit() {
        let advertised = |quota| {
            let mut policy = policy();
            policy.limit = policy.limit.map(|limit| Limit { quota, ..limit });
            let rule = PolicyRule::compile(policy);
            let limit = rule.limit("::1".parse().unwrap())?;
            Some(limit.advertised.clone()?.to_str().ok()?.to_owned())
        };
        let requests = advertised(QuotaUnit::Requests);
        assert_eq!(requests.as_deref(), Some("\"Gold\";q=5000;w=60"));
        let bytes = advertised(QuotaUnit::Bytes);
        let expected = "\"Gold\";q=5000;qu=\"content-bytes\";w=60";
        assert_eq!(bytes.as_deref(), Some(expected));
        assert_eq!(advertised(QuotaUnit::Events), None, "nothing is counted");
    }
}
