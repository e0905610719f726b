//! The default lifecycle of an API: six states, the events that lead from one to another, and
//! what each state means for the portal and the gateway.

use serde::{Deserialize, Serialize};

/// Where an API stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub enum LifecycleState {
    /// Being built; not in the portal.
    #[default]
    Created,
    /// Offered for trial without a subscription.
    Prototyped,
    /// Offered.
    Published,
    /// Refused at the gateway with 700700 and hidden in the portal.
    Blocked,
    /// Serves its subscribers, takes no new ones.
    Deprecated,
    /// Gone from gateway and portal.
    Retired,
}

/// Something that moves an API along, named as the contract names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The `action` of `POST /apis/change-lifecycle`.
    pub event: &'static str,
    /// Where it leads.
    pub target: LifecycleState,
}

/// Checklist item: deprecate the older versions of the API while publishing.
pub const DEPRECATE_OLD_VERSIONS: &str = "Deprecate old versions after publishing the API";
/// Checklist item: subscribers of older versions must subscribe again.
pub const REQUIRE_RESUBSCRIPTION: &str = "Requires re-subscription when publishing the API";

const PUBLISH: Transition = to("Publish", LifecycleState::Published);
const PROTOTYPE: Transition = to("Deploy as a Prototype", LifecycleState::Prototyped);
const DEMOTE: Transition = to("Demote to Created", LifecycleState::Created);
const BLOCK: Transition = to("Block", LifecycleState::Blocked);
const DEPRECATE: Transition = to("Deprecate", LifecycleState::Deprecated);
const REPUBLISH: Transition = to("Re-Publish", LifecycleState::Published);
const RETIRE: Transition = to("Retire", LifecycleState::Retired);

const fn to(event: &'static str, target: LifecycleState) -> Transition {
    Transition { event, target }
}

// === impl LifecycleState ===

impl LifecycleState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Prototyped,
        Self::Published,
        Self::Blocked,
        Self::Deprecated,
        Self::Retired,
    ];

    /// The transitions that leave this state.
    #[must_use]
    pub const fn transitions(self) -> &'static [Transition] {
        match self {
            Self::Created => &[PUBLISH, PROTOTYPE],
            Self::Prototyped => &[PUBLISH, DEMOTE, PROTOTYPE],
            Self::Published => &[BLOCK, PROTOTYPE, DEMOTE, DEPRECATE, PUBLISH],
            Self::Blocked => &[DEPRECATE, REPUBLISH],
            Self::Deprecated => &[RETIRE],
            Self::Retired => &[],
        }
    }

    /// Where `event` leads from here, if it leads anywhere.
    #[must_use]
    pub fn after(self, event: &str) -> Option<Self> {
        self.transitions()
            .iter()
            .find(|transition| transition.event == event)
            .map(|transition| transition.target)
    }

    /// The checklist that the publisher offers in this state.
    #[must_use]
    pub const fn checklist(self) -> &'static [&'static str] {
        match self {
            Self::Created | Self::Prototyped => &[DEPRECATE_OLD_VERSIONS, REQUIRE_RESUBSCRIPTION],
            _ => &[],
        }
    }

    /// Whether the portal shows the API.
    #[must_use]
    pub const fn is_listed(self) -> bool {
        matches!(self, Self::Published | Self::Prototyped | Self::Deprecated)
    }

    /// Whether a new subscription may be made.
    #[must_use]
    pub const fn takes_subscriptions(self) -> bool {
        matches!(self, Self::Published | Self::Prototyped)
    }

    /// The word in JSON and in the database, in capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Prototyped => "PROTOTYPED",
            Self::Published => "PUBLISHED",
            Self::Blocked => "BLOCKED",
            Self::Deprecated => "DEPRECATED",
            Self::Retired => "RETIRED",
        }
    }

    /// The word in lifecycle answers, such as `Published`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Prototyped => "Prototyped",
            Self::Published => "Published",
            Self::Blocked => "Blocked",
            Self::Deprecated => "Deprecated",
            Self::Retired => "Retired",
        }
    }

    /// Reads either form, ignoring case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State, event and where it leads, as WSO2's default lifecycle has them (wso2-behaviour §8).
    const TABLE: &str = "\
Created: Publish -> Published, Deploy as a Prototype -> Prototyped
Prototyped: Publish -> Published, Demote to Created -> Created, Deploy as a Prototype -> Prototyped
Published: Block -> Blocked, Deploy as a Prototype -> Prototyped, Demote to Created -> Created, Deprecate -> Deprecated, Publish -> Published
Blocked: Deprecate -> Deprecated, Re-Publish -> Published
Deprecated: Retire -> Retired
Retired:
";
    const EVENTS: [&str; 7] = [
        "Publish",
        "Deploy as a Prototype",
        "Demote to Created",
        "Block",
        "Deprecate",
        "Re-Publish",
        "Retire",
    ];

    #[test]
    fn each_event_leads_where_wso2s_default_lifecycle_leads_and_nowhere_else() {
        assert_eq!(TABLE.lines().count(), LifecycleState::ALL.len());
        for (line, state) in TABLE.lines().zip(LifecycleState::ALL) {
            let (name, steps) = line.split_once(':').unwrap();
            assert_eq!(state.title(), name);
            let leads = |event: &str| {
                let mut steps = steps.split(", ").filter_map(|step| step.split_once(" -> "));
                let found = steps.find(|(known, _)| known.trim() == event);
                found.and_then(|(_, target)| LifecycleState::parse(target))
            };
            for event in EVENTS {
                assert_eq!(state.after(event), leads(event), "{name}: {event}");
            }
            assert_eq!(
                state.transitions().len(),
                steps.split(", ").filter(|step| !step.is_empty()).count()
            );
        }
        let asks = [LifecycleState::Created, LifecycleState::Prototyped];
        for state in LifecycleState::ALL {
            let items = [
                "Deprecate old versions after publishing the API",
                "Requires re-subscription when publishing the API",
            ];
            let wanted = &items[..if asks.contains(&state) { 2 } else { 0 }];
            assert_eq!(state.checklist(), wanted, "{state:?}");
        }
    }

    #[test]
    fn retired_is_final_and_every_other_state_leads_somewhere() {
        for state in LifecycleState::ALL {
            assert_eq!(
                state.transitions().is_empty(),
                state == LifecycleState::Retired
            );
            for transition in state.transitions() {
                assert_eq!(state.after(transition.event), Some(transition.target));
            }
        }
        assert_eq!(LifecycleState::Created.after("Retire"), None);
        assert_eq!(
            LifecycleState::parse("published"),
            Some(LifecycleState::Published)
        );
    }
}
