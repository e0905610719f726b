//! Which cached validations a change ends (V2): pure.

use domain::change::{Change, MarkedSubject};
use domain::validation_cache::{Subject, SubjectKind};

/// The subjects that a change touches; the application stands for its subscriptions, because a
/// cached grant cannot know one that was made after it.
pub(super) fn touched(tenant: &str, change: &Change) -> Vec<Subject> {
    let one = |kind, id: &str| vec![Subject::new(kind, tenant, id)];
    match change {
        Change::ApplicationChanged { application_id }
        | Change::ApplicationRemoved { application_id }
        | Change::SubscriptionChanged { application_id, .. } => {
            one(SubjectKind::Application, application_id)
        }
        Change::SubscriptionsMade {
            application_ids, ..
        } => {
            let ids = application_ids.iter();
            ids.map(|id| Subject::new(SubjectKind::Application, tenant, id.clone()))
                .collect()
        }
        Change::ClientChanged {
            consumer_key,
            application_id,
        } => {
            let mut subjects = one(SubjectKind::Client, consumer_key);
            let application = application_id.iter();
            subjects.extend(
                application.map(|id| Subject::new(SubjectKind::Application, tenant, id.clone())),
            );
            subjects
        }
        Change::TokenRevoked { token_id, .. } => one(SubjectKind::Token, token_id),
        Change::IssuedBefore { subject, id, .. } => {
            let kind = match subject {
                MarkedSubject::User | MarkedSubject::Login => SubjectKind::User,
                MarkedSubject::Application => SubjectKind::Application,
                MarkedSubject::Client => SubjectKind::Client,
                MarkedSubject::Session => SubjectKind::Session,
            };
            one(kind, id)
        }
        Change::ApiKeyChanged { key_hash, .. } => one(SubjectKind::Key, key_hash),
        Change::UserChanged { user, .. } => one(SubjectKind::User, user),
        Change::VerificationKeysChanged { .. } => one(SubjectKind::KeyManager, ""),
        Change::ApiDeployed { .. }
        | Change::ApiUndeployed { .. }
        | Change::ApiStateChanged { .. }
        | Change::DefaultVersionChanged { .. }
        | Change::PolicySaved { .. }
        | Change::PolicyRemoved { .. }
        | Change::DenyPolicySaved { .. }
        | Change::DenyPolicyRemoved { .. } => Vec::new(),
    }
}
