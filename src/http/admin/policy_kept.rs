//! Members of a throttling policy that have no effect: they are kept and given back as they came, if
//! they are of the contract's types and of a size that somebody would write.

use crate::body::Fields;
use crate::error::ApiError;
use crate::shape::{self, Kind, Members, SHORT};

/// The most characters of the value of an attribute.
const VALUE: usize = 4_096;

/// Of all levels alike: what belongs to another one is refused where it would promise something.
const POLICY: Members = &[
    ("policyId", Kind::Text(SHORT)),
    ("isDeployed", Kind::Flag),
    ("type", Kind::Text(SHORT)),
    ("billingPlan", Kind::Text(SHORT)),
    (
        "monetization",
        Kind::Object(&[
            (
                "monetizationPlan",
                Kind::Required(&Kind::Word(&["FIXEDRATE", "DYNAMICRATE"])),
            ),
            ("properties", Kind::Required(&Kind::TextsByName(VALUE))),
        ]),
    ),
    (
        "customAttributes",
        Kind::List(&[
            ("name", Kind::Required(&Kind::Text(SHORT))),
            ("value", Kind::Required(&Kind::Text(VALUE))),
        ]),
    ),
    (
        "permissions",
        Kind::Object(&[
            ("permissionType", Kind::Required(&Kind::Text(SHORT))),
            ("roles", Kind::Required(&Kind::Texts)),
        ]),
    ),
    ("subscriberCount", Kind::Number),
    ("graphQLMaxDepth", Kind::Number),
    ("graphQLMaxComplexity", Kind::Number),
    ("rateLimitCount", Kind::Number),
    ("rateLimitTimeUnit", Kind::Text(20)),
    (
        "burstLimit",
        Kind::Object(&[
            ("rateLimitCount", Kind::Number),
            ("rateLimitTimeUnit", Kind::Text(20)),
        ]),
    ),
];

/// Refuses members of another type than the contract's, those that are too large, and those without what the contract
/// requires of them; all stay.
pub(super) fn check(fields: &mut Fields) -> Result<(), ApiError> {
    shape::check(fields, POLICY)
}

/// Refuses members of no contract that are too large to be kept with a policy.
pub(super) fn bounded(rest: &Fields) -> Result<(), ApiError> {
    shape::bounded(rest, POLICY)
}
