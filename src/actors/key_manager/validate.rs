//! What a key manager knows of a credential (V1): the head of the change log first, then the
//! data, in one snapshot, so that the verdict is true at the number it names.

use domain::change::MarkedSubject;
use domain::consumer::Consumer;
use domain::validation::{Grant, GrantKind, RefusalReason, Secret, UserType, Verdict};
use storage::apim::{grants, oauth_clients, revocations, tokens};
use storage::{Read, StoreError};

use super::desk::{Desk, after};
use super::holder::{Holder, user_type, words};
use super::issue::UNMAPPED;
use super::message::{ValidateMany, Validated};

impl Desk {
    /// Answers a batch of questions out of one snapshot; beside it the hashes of the API keys that
    /// were used.
    pub(super) async fn validate_many(&self, asked: ValidateMany) -> (Validated, Vec<String>) {
        match self.verdicts(&asked).await {
            Ok(validated) => {
                let used = used_keys(&validated);
                (validated, used)
            }
            Err(error) => {
                tracing::error!(%error, "credentials cannot be validated");
                (Validated::Unavailable, Vec::new())
            }
        }
    }

    async fn verdicts(&self, asked: &ValidateMany) -> Result<Validated, StoreError> {
        let mut read = self.apim.read().await?;
        let at = grants::head(&mut read).await?;
        if at < asked.applied {
            return Ok(Validated::Behind { at });
        }
        let signed = asked
            .credentials
            .iter()
            .filter_map(|credential| match &credential.secret {
                Secret::Jwt(text) => Some(text.as_str()),
                Secret::Opaque(_) | Secret::ApiKey(_) => None,
            });
        // A verdict at this number is by the keys as they were then.
        if self.keys.are_older_than(at) || self.may_look_for(signed) {
            self.learn_keys_in(&mut read).await?;
        }
        let mut verdicts = Vec::with_capacity(asked.credentials.len());
        for credential in &asked.credentials {
            let verdict = match &credential.secret {
                Secret::Jwt(text) => self.signed(&mut read, at, text).await?,
                Secret::Opaque(hash) => self.opaque(&mut read, at, hash).await?,
                Secret::ApiKey(hash) => self.api_key(&mut read, at, hash).await?,
            };
            verdicts.push(verdict.within(&credential.tenant));
        }
        Ok(Validated::Verdicts(verdicts))
    }

    async fn signed(&self, read: &mut Read, at: u64, text: &str) -> Result<Verdict, StoreError> {
        let Some(claims) = self.own_claims(text) else {
            return Ok(refused(at, RefusalReason::Malformed, None));
        };
        let client = oauth_clients::find(read, &claims.azp).await?;
        let Some(client) = client else {
            return Ok(refused(at, RefusalReason::Inactive, Some(claims.jti)));
        };
        self.held(read, at, Holder::of(claims, client.tenant)).await
    }

    async fn opaque(&self, read: &mut Read, at: u64, hash: &str) -> Result<Verdict, StoreError> {
        let Some(token) = tokens::find_access(read, hash).await? else {
            return Ok(refused(at, RefusalReason::Unknown, Some(hash.to_owned())));
        };
        if oauth_clients::find(read, &token.consumer_key)
            .await?
            .is_none()
        {
            return Ok(refused(at, RefusalReason::Inactive, Some(hash.to_owned())));
        }
        let holder = Holder {
            tenant: token.tenant,
            kind: GrantKind::Opaque,
            issuer: String::new(),
            token_id: token.token_hash,
            session: token.session,
            consumer_key: token.consumer_key,
            scopes: token.scopes,
            audiences: Vec::new(),
            user: token.username,
            user_type: user_type(&token.user_type),
            issued_at_ms: token.issued_at_ms,
            not_before_ms: None,
            expires_at_ms: token.expires_at_ms,
        };
        self.held(read, at, holder).await
    }

    /// Times, revocations and marks, then the application with its subscriptions.
    async fn held(&self, read: &mut Read, at: u64, holder: Holder) -> Result<Verdict, StoreError> {
        let now = self.clock.now_ms();
        let refuse = |reason| refused(at, reason, Some(holder.token_id.clone()));
        if !holder.is_in_its_time(now) {
            return Ok(refuse(RefusalReason::Expired));
        }
        let tenant = &holder.tenant;
        if revocations::is_revoked(read, tenant, &holder.issuer, &holder.token_id).await? {
            return Ok(refuse(RefusalReason::Revoked));
        }
        let mapped = grants::application_of_client(read, &holder.consumer_key).await?;
        let application_id = mapped.as_ref().map_or("", |(id, _)| id.as_str());
        let subjects = holder.marked_subjects(application_id);
        if is_ended(read, tenant, holder.issued_at_ms, &subjects).await? {
            return Ok(refuse(RefusalReason::Revoked));
        }
        let (application, subscriptions, key_type) = match mapped {
            None => (None, Vec::new(), UNMAPPED),
            Some((id, key_type)) => (
                grants::application(read, &id).await?,
                grants::subscriptions(read, &id).await?,
                key_type,
            ),
        };
        let consumer = Consumer {
            tenant: holder.tenant.clone(),
            consumer_key: holder.consumer_key.clone(),
            key_type,
            application,
            subscriptions,
        };
        Ok(Verdict::Granted(Box::new(holder.granted(at, consumer))))
    }

    async fn api_key(&self, read: &mut Read, at: u64, hash: &str) -> Result<Verdict, StoreError> {
        let Some(key) = grants::api_key(read, hash).await? else {
            return Ok(refused(at, RefusalReason::Unknown, Some(hash.to_owned())));
        };
        let refuse = |reason| refused(at, reason, Some(hash.to_owned()));
        let expires_at_ms =
            (key.validity_seconds >= 0).then(|| after(key.issued_at_ms, key.validity_seconds));
        if expires_at_ms.is_some_and(|end| end <= self.clock.now_ms()) {
            return Ok(refuse(RefusalReason::Expired));
        }
        let application_id = key.application_id.as_deref().unwrap_or_default();
        let subjects = [
            (MarkedSubject::User, key.owner.as_str()),
            (MarkedSubject::Application, application_id),
        ];
        if revocations::is_revoked(read, &key.tenant, "", hash).await?
            || is_ended(read, &key.tenant, key.issued_at_ms, &subjects).await?
        {
            return Ok(refuse(RefusalReason::Revoked));
        }
        let (application, subscriptions) = match &key.application_id {
            None => (None, Vec::new()),
            Some(id) => (
                grants::application(read, id).await?,
                grants::subscriptions(read, id).await?,
            ),
        };
        Ok(Verdict::Granted(Box::new(Grant {
            at,
            tenant: key.tenant,
            kind: GrantKind::ApiKey,
            issuer: String::new(),
            token_id: hash.to_owned(),
            session: None,
            consumer_key: String::new(),
            key_type: key.key_type,
            scopes: Vec::new(),
            audiences: Vec::new(),
            user: key.owner,
            user_type: UserType::Application,
            issued_at_ms: key.issued_at_ms,
            not_before_ms: None,
            expires_at_ms,
            application,
            subscriptions,
            bound_api_id: Some(key.api_id),
            permitted_ips: words(&key.permitted_ips, ','),
            permitted_referers: words(&key.permitted_referers, ','),
        })))
    }
}

fn used_keys(validated: &Validated) -> Vec<String> {
    let Validated::Verdicts(verdicts) = validated else {
        return Vec::new();
    };
    let used = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Granted(grant) if grant.kind == GrantKind::ApiKey => Some(grant.token_id.clone()),
        _ => None,
    });
    used.collect()
}

/// Whether one of the subjects bears a mark that covers what was issued then (S4).
async fn is_ended(
    read: &mut Read,
    tenant: &str,
    issued_at_ms: i64,
    subjects: &[(MarkedSubject, &str)],
) -> Result<bool, StoreError> {
    for (subject, id) in subjects {
        let mark = match *id {
            "" => None,
            id => revocations::find_mark(read, tenant, *subject, id).await?,
        };
        if mark.is_some_and(|before| issued_at_ms < before) {
            return Ok(true);
        }
    }
    Ok(false)
}

const fn refused(at: u64, reason: RefusalReason, token_id: Option<String>) -> Verdict {
    Verdict::Refused {
        at,
        reason,
        token_id,
    }
}
