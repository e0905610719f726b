//! What the writers of the administration are told.

use cluster::{AskError, Reply};
use domain::deny_policy::DenyPolicy;
use domain::policy::Policy;
use storage::StoreError;

use crate::change_feed::Changed;

/// A change of policies.
pub(super) enum AdminMessage {
    /// A new policy.
    CreatePolicy(Box<Policy>, Answer<Policy>),
    /// A policy changed; its `row_version` is the one that must be stored, 0 for any.
    UpdatePolicy(Box<Policy>, Answer<Policy>),
    /// A policy removed.
    DeletePolicy(Box<Policy>, Answer<()>),
    /// A new deny policy.
    Deny(Box<DenyPolicy>, Answer<DenyPolicy>),
    /// A deny policy in or out of force; what is stored must be `policy` where `as_read` says so.
    SetDenial {
        policy: Box<DenyPolicy>,
        active: bool,
        as_read: bool,
        answer: Answer<DenyPolicy>,
    },
    /// A deny policy removed; what is stored must be `policy` where `as_read` says so.
    LiftDenial {
        policy: Box<DenyPolicy>,
        as_read: bool,
        answer: Answer<()>,
    },
}

pub(super) type Answer<T> = Reply<Result<Changed<T>, AdminError>>;

/// Why a policy could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writer does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A member of the request is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// The member.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}
