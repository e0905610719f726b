//! What the writers of the administration are told.

use cluster::{AskError, Reply};
use domain::deny_policy::DenyPolicy;
use domain::policy::Policy;
use storage::StoreError;

use super::usage::Users;
use crate::change_feed::Changed;

/// A change of policies.
pub(super) enum AdminMessage {
    /// A new policy.
    CreatePolicy(Box<Policy>, Answer<Policy>),
    /// A policy changed; its `row_version` is the one that must be stored, 0 for any.
    UpdatePolicy(Box<Policy>, Answer<Policy>),
    /// A policy removed, after the documents were looked through; its `row_version` is the one
    /// that must be stored, 0 for any.
    DeletePolicy(Box<Users>, Answer<()>),
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

// === impl AdminMessage ===

impl AdminMessage {
    /// Whether whoever asked has given up before it was begun: they may have decided otherwise
    /// since.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::CreatePolicy(_, answer) | Self::UpdatePolicy(_, answer) => answer.is_abandoned(),
            Self::DeletePolicy(_, answer) | Self::LiftDenial { answer, .. } => {
                answer.is_abandoned()
            }
            Self::Deny(_, answer) | Self::SetDenial { answer, .. } => answer.is_abandoned(),
        }
    }
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
    /// Other policies are being removed, so that this one must come later.
    #[error("other policies are being removed, try again in a moment")]
    Busy,
    /// A member of the request is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// The member.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}
