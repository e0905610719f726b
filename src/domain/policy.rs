//! Throttling policies: how much of what in which time, at which level (admin v4).

use serde::{Deserialize, Serialize};

use crate::window::WindowSpec;

/// A name that means no limit, at every level.
pub const UNLIMITED: &str = "Unlimited";
/// The plan of an API that needs no subscription.
pub const SUBSCRIPTIONLESS: &str = "DefaultSubscriptionless";
/// The plan of anonymous calls, counted per address.
pub const UNAUTHENTICATED: &str = "Unauthenticated";

/// What a policy is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyLevel {
    /// Business plans of subscriptions.
    Subscription,
    /// Applications.
    Application,
    /// APIs and their operations (advanced policies).
    Api,
}

/// The unit of a window (`timeUnit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds.
    Sec,
    /// Minutes.
    Min,
    /// Hours.
    Hour,
    /// Days, UTC.
    Day,
    /// Weeks, from Monday, UTC.
    Week,
    /// Calendar months, UTC.
    Month,
    /// Calendar years, UTC.
    Year,
}

/// How a limit's window counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// Windows follow one another; each begins with the whole limit.
    #[default]
    Fixed,
    /// No more than the limit in any time of the window's length, whenever it begins.
    Sliding,
    /// A bucket that holds the limit, and fills again at the limit in a window.
    Bucket,
}

/// What a gateway does while nobody can grant units (PROTOCOLS L8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Holds calls for a while, then refuses them with 503: never more than the limit.
    #[default]
    Exact,
    /// Lets through its share of the limit: may reach twice the limit.
    Share,
    /// Lets everything through.
    Allow,
}

/// What else can be chosen of a policy; of the whole policy, burst and groups included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyOptions {
    /// What a gateway does while nobody can grant units.
    pub mode: Mode,
    /// How the windows count.
    pub window: WindowKind,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaUnit {
    /// Requests (`REQUESTCOUNTLIMIT`).
    Requests,
    /// Bytes of bodies both ways (`BANDWIDTHLIMIT`).
    Bytes,
    /// Events of streams (`EVENTCOUNTLIMIT`).
    Events,
}

/// Which of a policy's limits a key is counted by: the default one, the burst, and from `FIRST_GROUP` on those of the
/// conditional groups in their order. Numbers name counts in the ledger, so they are the same on every node.
const DEFAULT: u16 = 0;
const BURST: u16 = 1;
const FIRST_GROUP: u16 = 2;
/// Set in the numbers of limits that count bytes: a policy that goes over from requests to bytes begins another count,
/// and no request is ever taken for a byte.
const OF_BYTES: u16 = 1 << 15;

/// So many units in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// Units per window.
    pub units: u64,
    /// What a unit is.
    pub quota: QuotaUnit,
    /// Length of the window, in `time_unit`s; at least 1.
    pub unit_time: u32,
    /// The window's unit.
    pub time_unit: TimeUnit,
}

/// A condition of an advanced policy's group; all of a group must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whether the condition is turned round.
    pub invert: bool,
    /// What is looked at.
    pub test: ConditionTest,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionTest {
    /// The caller's address is this one (`IPSPECIFIC`).
    Address(String),
    /// The caller's address lies between these, both included (`IPRANGE`).
    AddressRange(String, String),
    /// A header matches a pattern (`HEADERCONDITION`).
    Header(String, String),
    /// A query parameter matches a pattern (`QUERYPARAMETERCONDITION`).
    Query(String, String),
    /// A claim of the token matches a pattern (`JWTCLAIMSCONDITION`).
    Claim(String, String),
}

/// A limit of its own for requests that meet some conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionalGroup {
    /// For people.
    pub description: String,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The limit that then counts instead of the default one.
    pub limit: Limit,
}

/// A throttling policy of any level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// What it is attached to.
    pub level: PolicyLevel,
    /// Unique within its level.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Its limit; none when unlimited.
    pub limit: Option<Limit>,
    /// Requests per short window on top of the limit (`rateLimitCount`, `rateLimitTimeUnit`).
    pub burst: Option<Limit>,
    /// Whether requests beyond the limit are refused; when not, they are let through and counted.
    pub stop_on_quota_reach: bool,
    /// Conditional groups, advanced policies only.
    pub groups: Vec<ConditionalGroup>,
    /// What was chosen besides; left out where nothing was, as in all documents from before there was a choice.
    #[serde(default, skip_serializing_if = "PolicyOptions::are_usual")]
    pub options: PolicyOptions,
    /// The members of the contract that have no effect yet, as a JSON object.
    pub extra: String,
    /// Row version, shown as `ETag`.
    pub row_version: i64,
}

// === impl PolicyLevel ===

impl PolicyLevel {
    /// The word in paths and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Application => "application",
            Self::Api => "api",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Subscription, Self::Application, Self::Api]
            .into_iter()
            .find(|level| level.as_str() == word)
    }
}

// === impl TimeUnit ===

impl TimeUnit {
    /// The word of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sec => "sec",
            Self::Min => "min",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Reads the word and the longer forms that clients send.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "sec" | "s" | "second" | "seconds" => Self::Sec,
            "min" | "m" | "minute" | "minutes" => Self::Min,
            "hour" | "h" | "hours" => Self::Hour,
            "day" | "d" | "days" => Self::Day,
            "week" | "w" | "weeks" => Self::Week,
            "month" | "months" => Self::Month,
            "year" | "y" | "years" => Self::Year,
            _ => return None,
        })
    }
}

// === impl WindowKind ===

impl WindowKind {
    /// The word it is chosen by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sliding => "sliding",
            Self::Bucket => "bucket",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Fixed, Self::Sliding, Self::Bucket]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

// === impl Mode ===

impl Mode {
    /// The word it is chosen by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Share => "share",
            Self::Allow => "allow",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Exact, Self::Share, Self::Allow]
            .into_iter()
            .find(|mode| mode.as_str() == word)
    }
}

// === impl PolicyOptions ===

impl PolicyOptions {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Limit ===

impl Limit {
    /// Its window.
    #[must_use]
    pub const fn window(&self, kind: WindowKind) -> WindowSpec {
        WindowSpec::new(self.time_unit, self.unit_time).counted(kind)
    }

    /// The number of this limit when it stands at `place`.
    const fn number(&self, place: u16) -> u16 {
        match self.quota {
            QuotaUnit::Bytes => place | OF_BYTES,
            QuotaUnit::Requests | QuotaUnit::Events => place,
        }
    }
}

// === impl Policy ===

impl Policy {
    /// The default limit with its number.
    #[must_use]
    pub fn numbered_limit(&self) -> Option<(u16, &Limit)> {
        let limit = self.limit.as_ref()?;
        Some((limit.number(DEFAULT), limit))
    }

    /// The burst limit with its number.
    #[must_use]
    pub fn numbered_burst(&self) -> Option<(u16, &Limit)> {
        let limit = self.burst.as_ref()?;
        Some((limit.number(BURST), limit))
    }

    /// The conditional groups with the numbers of their limits.
    pub fn numbered_groups(&self) -> impl Iterator<Item = (u16, &ConditionalGroup)> {
        let places = FIRST_GROUP..OF_BYTES;
        let groups = places.zip(&self.groups);
        groups.map(|(place, group)| (group.limit.number(place), group))
    }

    /// Every limit with its number.
    pub fn numbered_limits(&self) -> impl Iterator<Item = (u16, &Limit)> {
        let groups = self.numbered_groups();
        self.numbered_limit()
            .into_iter()
            .chain(self.numbered_burst())
            .chain(groups.map(|(number, group)| (number, &group.limit)))
    }

    /// Whether requests rest on it without anything that names it: anonymous calls, calls without
    /// a subscription, and everything that is unlimited.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.name == UNLIMITED
            || (self.level == PolicyLevel::Subscription
                && [SUBSCRIPTIONLESS, UNAUTHENTICATED].contains(&self.name.as_str()))
    }

    /// The policies that a new tenant starts with, as WSO2's; ids are given by `id`.
    pub fn defaults(tenant: &str, mut id: impl FnMut() -> String) -> Vec<Self> {
        let per_minute = |units| {
            Some(Limit {
                units,
                quota: QuotaUnit::Requests,
                unit_time: 1,
                time_unit: TimeUnit::Min,
            })
        };
        let rows: [(PolicyLevel, &str, Option<Limit>); 14] = [
            (PolicyLevel::Subscription, "Gold", per_minute(5_000)),
            (PolicyLevel::Subscription, "Silver", per_minute(2_000)),
            (PolicyLevel::Subscription, "Bronze", per_minute(1_000)),
            (PolicyLevel::Subscription, UNLIMITED, None),
            (
                PolicyLevel::Subscription,
                SUBSCRIPTIONLESS,
                per_minute(10_000),
            ),
            (PolicyLevel::Subscription, UNAUTHENTICATED, per_minute(500)),
            (PolicyLevel::Application, "10PerMin", per_minute(10)),
            (PolicyLevel::Application, "20PerMin", per_minute(20)),
            (PolicyLevel::Application, "50PerMin", per_minute(50)),
            (PolicyLevel::Application, UNLIMITED, None),
            (PolicyLevel::Api, "10KPerMin", per_minute(10_000)),
            (PolicyLevel::Api, "20KPerMin", per_minute(20_000)),
            (PolicyLevel::Api, "50KPerMin", per_minute(50_000)),
            (PolicyLevel::Api, UNLIMITED, None),
        ];
        rows.into_iter()
            .map(|(level, name, limit)| Self {
                id: id(),
                tenant: tenant.to_owned(),
                level,
                name: name.to_owned(),
                display_name: name.to_owned(),
                description: limit.map_or_else(
                    || "Allows unlimited requests".to_owned(),
                    |limit| format!("Allows {} requests per minute", limit.units),
                ),
                limit,
                burst: None,
                stop_on_quota_reach: true,
                groups: Vec::new(),
                options: PolicyOptions::default(),
                extra: "{}".to_owned(),
                row_version: 1,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_a_policy_has_a_number_of_its_own_and_bytes_another_than_requests() {
        let mut policy = Policy::defaults("t", String::new).remove(0);
        let limit = policy.limit.unwrap();
        let bytes = Limit {
            quota: QuotaUnit::Bytes,
            ..limit
        };
        let group = |limit| ConditionalGroup {
            description: String::new(),
            conditions: Vec::new(),
            limit,
        };
        policy.burst = Some(limit);
        policy.groups = vec![group(limit), group(bytes)];
        let numbers = |policy: &Policy| -> Vec<u16> {
            policy.numbered_limits().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(&policy), [0, 1, 2, 3 | 0x8000]);
        policy.limit = Some(bytes);
        assert_eq!(numbers(&policy), [0x8000, 1, 2, 3 | 0x8000]);
    }
}
