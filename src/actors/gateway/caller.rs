//! Who is calling: a key manager's verdict as the token cache keeps it.

use std::borrow::Cow;
use std::sync::Arc;

use domain::subscription::SubscriptionStatus;
use domain::validation::{
    Credential, Grant, GrantKind, GrantedSubscription, RefusalReason, Secret, Verdict,
};
use domain::validation_cache::{Subject, SubjectKind};

/// A refusal is believed for so long at most; a change that touches it ends it earlier (V2).
const REFUSED_FOR_MS: i64 = 2_000;
/// A grant is asked for anew after so long.
const GRANTED_FOR_MS: i64 = 15 * 60 * 1_000;

/// A validated credential.
#[derive(Debug)]
pub enum Caller {
    /// It is good.
    Granted(Box<Granted>),
    /// It is not.
    Refused(RefusalReason),
}

/// A grant with the texts that each of its calls needs, made once.
#[derive(Debug)]
pub struct Granted {
    /// Who is calling and what they may do.
    pub grant: Grant,
    /// The application, to be shared with what is recorded of its calls; empty when there is none.
    pub application_id: Arc<str>,
    /// Whom the application's policy counts; none without an application.
    pub application_subject: Option<String>,
    /// Whom each subscription's plan counts, in the order of `grant.subscriptions`.
    subjects: Vec<String>,
}

/// What an entry of the cache is made of.
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) subjects: Vec<Subject>,
    pub(super) until_ms: i64,
    pub(super) caller: Caller,
}

// === impl Caller ===

impl Caller {
    /// A good credential.
    #[must_use]
    pub fn granted(grant: Grant) -> Self {
        Self::Granted(Box::new(Granted::new(grant)))
    }
}

// === impl Granted ===

impl Granted {
    fn new(mut grant: Grant) -> Self {
        grant.subscriptions.sort_by(|a, b| a.api_id.cmp(&b.api_id));
        let application = grant.application.as_ref();
        let who = who(&grant);
        let subject = |held: &GrantedSubscription| format!("{who}:{}", held.api_id);
        Self {
            application_id: application.map_or("", |known| known.id.as_str()).into(),
            application_subject: application.map(|known| format!("{}:{}", known.id, grant.user)),
            subjects: grant.subscriptions.iter().map(subject).collect(),
            grant,
        }
    }

    /// The subscription to an API, and whom its plan counts.
    #[must_use]
    pub fn subscription(&self, api_id: &str) -> Option<(&GrantedSubscription, &str)> {
        let held = &self.grant.subscriptions;
        let first = held.partition_point(|held| held.api_id.as_str() < api_id);
        let found = held.iter().zip(&self.subjects).skip(first);
        let found = found.take_while(|(held, _)| held.api_id == api_id);
        // One that was refused does not hide another.
        found
            .min_by_key(|(held, _)| held.status == SubscriptionStatus::Rejected)
            .map(|(held, subject)| (held, subject.as_str()))
    }

    /// Whom the plan of an API without subscriptions counts.
    #[must_use]
    pub fn without_subscription(&self, api_id: &str) -> Cow<'_, str> {
        Cow::Owned(format!("{}:{api_id}", who(&self.grant)))
    }
}

/// The application, or the client or key where there is none.
fn who(grant: &Grant) -> &str {
    let application = grant.application.as_ref().map(|known| known.id.as_str());
    let client = Some(grant.consumer_key.as_str()).filter(|key| !key.is_empty());
    application.or(client).unwrap_or(&grant.token_id)
}

// === impl Known ===

impl Known {
    pub(super) fn of(credential: &Credential, verdict: Verdict, now_ms: i64) -> Self {
        // Also where the key manager is of a version that does not hear of tenants, and where this gateway judged.
        match verdict.within(&credential.tenant) {
            Verdict::Granted(grant) => {
                let longest = now_ms.saturating_add(GRANTED_FOR_MS);
                Self {
                    number: grant.at,
                    subjects: subjects_of(&grant),
                    until_ms: grant.expires_at_ms.unwrap_or(i64::MAX).min(longest),
                    caller: Caller::granted(*grant),
                }
            }
            Verdict::Refused {
                at,
                reason,
                token_id,
            } => Self {
                number: at,
                subjects: refused_subjects(credential, token_id),
                until_ms: now_ms.saturating_add(REFUSED_FOR_MS),
                caller: Caller::Refused(reason),
            },
        }
    }
}

fn refused_subjects(credential: &Credential, token_id: Option<String>) -> Vec<Subject> {
    let (kind, own) = match &credential.secret {
        Secret::Jwt(_) => (SubjectKind::Token, None),
        Secret::Opaque(hash) => (SubjectKind::Token, Some(hash.clone())),
        Secret::ApiKey(hash) => (SubjectKind::Key, Some(hash.clone())),
    };
    let ids = own.into_iter().chain(token_id);
    let tenant = credential.tenant.as_str();
    ids.map(|id| Subject::new(kind, tenant, id)).collect()
}

/// Everything that a grant rests on (V2).
fn subjects_of(grant: &Grant) -> Vec<Subject> {
    let tenant = grant.tenant.as_str();
    let kind = match grant.kind {
        GrantKind::ApiKey => SubjectKind::Key,
        GrantKind::Jwt | GrantKind::Opaque => SubjectKind::Token,
    };
    let mut subjects = vec![
        Subject::new(kind, tenant, grant.token_id.clone()),
        Subject::new(SubjectKind::User, tenant, grant.user.clone()),
        Subject::new(SubjectKind::KeyManager, tenant, ""),
    ];
    if !grant.consumer_key.is_empty() {
        let client = grant.consumer_key.clone();
        subjects.push(Subject::new(SubjectKind::Client, tenant, client));
    }
    if let Some(session) = &grant.session {
        subjects.push(Subject::new(SubjectKind::Session, tenant, session.clone()));
    }
    if let Some(application) = &grant.application {
        let id = application.id.clone();
        subjects.push(Subject::new(SubjectKind::Application, tenant, id));
    }
    subjects
}
