//! Whom a token was issued to, before the application behind it is known; read alike by key managers
//! and by gateways that verify a token themselves.

use domain::change::MarkedSubject;
use domain::consumer::Consumer;
use domain::token::Claims;
use domain::validation::{Grant, GrantKind, UserType};

use super::desk::{after, bare_name};

/// How far another node's clock may be ahead of this one's for its tokens to be good at once,
/// milliseconds (RFC 7519 §4.1.5).
const LEEWAY_MS: i64 = 5_000;

/// Who a token was issued to.
pub(crate) struct Holder {
    pub(crate) tenant: String,
    pub(crate) kind: GrantKind,
    pub(crate) issuer: String,
    pub(crate) token_id: String,
    pub(crate) session: String,
    pub(crate) consumer_key: String,
    pub(crate) scopes: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) user: String,
    pub(crate) user_type: UserType,
    pub(crate) issued_at_ms: i64,
    pub(crate) not_before_ms: Option<i64>,
    pub(crate) expires_at_ms: i64,
}

// === impl Holder ===

impl Holder {
    /// Of verified claims, issued to a client of this tenant.
    pub(crate) fn of(claims: Claims, tenant: String) -> Self {
        // Our ids are version 7 and know the millisecond; others count from the start of the second.
        let issued_at_ms = uuid::Uuid::parse_str(&claims.jti)
            .ok()
            .and_then(|id| id.get_timestamp())
            .and_then(|at| {
                let (seconds, nanoseconds) = at.to_unix();
                i64::try_from(seconds * 1_000 + u64::from(nanoseconds) / 1_000_000).ok()
            });
        Self {
            tenant,
            kind: GrantKind::Jwt,
            issuer: claims.iss,
            session: claims.sid,
            consumer_key: claims.azp,
            scopes: claims.scope,
            audiences: claims.aud,
            user: bare_name(&claims.sub).to_owned(),
            user_type: user_type(&claims.aut),
            issued_at_ms: issued_at_ms.unwrap_or_else(|| after(0, claims.iat)),
            not_before_ms: claims.nbf.map(|seconds| after(0, seconds)),
            expires_at_ms: after(0, claims.exp),
            token_id: claims.jti,
        }
    }

    /// Whether it may be used now, by its own word.
    pub(crate) fn is_in_its_time(&self, now_ms: i64) -> bool {
        let begins = self
            .not_before_ms
            .map(|from| from.saturating_sub(LEEWAY_MS));
        now_ms < self.expires_at_ms && begins.is_none_or(|from| from <= now_ms)
    }

    /// What a mark can be on that ends it (S4); empty where there is no such thing.
    pub(crate) fn marked_subjects<'a>(
        &'a self,
        application_id: &'a str,
    ) -> [(MarkedSubject, &'a str); 5] {
        // What a client got for itself bears its owner's name, and no session.
        let login = if self.session.is_empty() {
            ""
        } else {
            self.user.as_str()
        };
        [
            (MarkedSubject::User, self.user.as_str()),
            (MarkedSubject::Client, self.consumer_key.as_str()),
            (MarkedSubject::Session, self.session.as_str()),
            (MarkedSubject::Login, login),
            (MarkedSubject::Application, application_id),
        ]
    }

    /// What it grants, true at `at`, to whom it was issued.
    pub(crate) fn granted(self, at: u64, consumer: Consumer) -> Grant {
        Grant {
            at,
            tenant: self.tenant,
            kind: self.kind,
            issuer: self.issuer,
            token_id: self.token_id,
            session: (!self.session.is_empty()).then_some(self.session),
            consumer_key: self.consumer_key,
            key_type: consumer.key_type,
            scopes: words(&self.scopes, ' '),
            audiences: self.audiences,
            user: self.user,
            user_type: self.user_type,
            issued_at_ms: self.issued_at_ms,
            not_before_ms: self.not_before_ms,
            expires_at_ms: Some(self.expires_at_ms),
            application: consumer.application,
            subscriptions: consumer.subscriptions,
            bound_api_id: None,
            permitted_ips: Vec::new(),
            permitted_referers: Vec::new(),
        }
    }
}

pub(super) fn user_type(text: &str) -> UserType {
    if text == "APPLICATION_USER" {
        UserType::ApplicationUser
    } else {
        UserType::Application
    }
}

pub(super) fn words(text: &str, separator: char) -> Vec<String> {
    text.split(separator)
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
