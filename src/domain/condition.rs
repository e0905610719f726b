//! Conditions of advanced policies' groups, made ready when a policy is applied, so that a request only compares
//! numbers. The gateway keeps them beside the group's limit.

use std::net::IpAddr;

use crate::address::AddressRange;
use crate::policy::{Condition, ConditionTest};

/// All conditions of one group: each a range of addresses, and whether it is turned round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions(Vec<(AddressRange, bool)>);

// === impl Conditions ===

impl Conditions {
    /// Makes a group's conditions ready; none when one of them cannot be tested, or there are none: such a group
    /// never holds, and the default limit counts.
    #[must_use]
    pub fn compile(conditions: &[Condition]) -> Option<Self> {
        let compiled = conditions.iter().map(|condition| {
            let range = match &condition.test {
                ConditionTest::Address(address) => AddressRange::between(address, address),
                ConditionTest::AddressRange(from, to) => AddressRange::between(from, to),
                // Refused by the administration; stored ones of another version are not guessed at.
                ConditionTest::Header(..) | ConditionTest::Query(..) | ConditionTest::Claim(..) => {
                    None
                }
            };
            range.map(|range| (range, condition.invert))
        });
        let compiled: Vec<_> = compiled.collect::<Option<_>>()?;
        (!compiled.is_empty()).then_some(Self(compiled))
    }

    /// Whether all hold for a caller at this address.
    #[must_use]
    pub fn hold(&self, address: IpAddr) -> bool {
        self.0
            .iter()
            .all(|(range, invert)| range.contains(address) != *invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(invert: bool, test: ConditionTest) -> Condition {
        Condition { invert, test }
    }

    fn range(from: &str, to: &str) -> ConditionTest {
        ConditionTest::AddressRange(from.to_owned(), to.to_owned())
    }

    fn hold(conditions: &[Condition], address: &str) -> bool {
        Conditions::compile(conditions).is_some_and(|all| all.hold(address.parse().unwrap()))
    }

    #[test]
    fn all_conditions_of_a_group_have_to_hold_and_any_may_be_turned_round() {
        let office = condition(false, range("10.0.0.0", "10.0.0.255"));
        let printer = condition(true, ConditionTest::Address("10.0.0.7".to_owned()));
        let both = [office.clone(), printer.clone()];
        assert!(hold(&both, "10.0.0.8") && hold(&both, "::ffff:10.0.0.8"));
        assert!(!hold(&both, "10.0.0.7"), "the one that is left out");
        assert!(!hold(&both, "10.0.1.8"), "outside of the range");
        assert!(hold(&[printer], "fd00::1"), "another family is not inside");
        assert!(!hold(&[office], "fd00::1"));
        let six = [condition(false, range("fd00::1", "fd00::ff"))];
        assert!(hold(&six, "fd00::80") && !hold(&six, "fd00::100") && !hold(&six, "10.0.0.1"));
    }

    #[test]
    fn a_group_that_cannot_be_tested_never_holds() {
        let header = ConditionTest::Header("x-plan".to_owned(), "gold".to_owned());
        for conditions in [
            vec![],
            vec![condition(true, header)],
            vec![condition(
                true,
                ConditionTest::Address("nowhere".to_owned()),
            )],
            vec![condition(true, range("10.0.0.9", "10.0.0.1"))],
            vec![condition(true, range("10.0.0.1", "fd00::1"))],
        ] {
            assert_eq!(Conditions::compile(&conditions), None, "{conditions:?}");
        }
    }
}
