//! Ending access (RFC 7009, PROTOCOLS S4): single tokens by id or hash, everything issued to a
//! subject by a mark; each is one transaction with its entry in the change log.

use domain::change::{Change, MarkedSubject};
use domain::token::{self, Claims};
use storage::apim::tokens::{AccessToken, RefreshToken};
use storage::apim::{change_log, revocations, tokens};

use super::command::{ClientSecret, Outcome, Refused};
use super::desk::{Desk, after, is_like_a_secret, new_id};
use super::handle::hash_hex;
use super::settled::{Done, Halt};

/// It was never a token of the client's, so nobody has to know of anything: who floods the key manager with such texts does
/// not flood the change feed as well.
fn nothing() -> Done {
    Outcome::Yes.into()
}

impl Desk {
    /// Revokes a token of a client; a text that is no token of it is no error (RFC 7009 §2.2).
    pub(super) async fn revoke(&self, secret: &ClientSecret, text: &str) -> Result<Done, Halt> {
        let client = self.authenticated(secret).await?;
        let tenant = client.details.tenant.clone();
        let (now, key) = (self.clock.now_ms(), client.consumer_key);
        if text.split('.').count() == 3 {
            return self.revoke_signed(&tenant, &key, text, now).await;
        }
        if !is_like_a_secret(text) {
            return Ok(nothing());
        }
        let hash = hash_hex(text);
        let mut read = self.apim.read().await?;
        let access = tokens::find_access(&mut read, &hash).await?;
        let refresh = tokens::find_refresh(&mut read, &hash).await?;
        drop(read);
        match (access, refresh) {
            (Some(token), _) if token.consumer_key == key && token.expires_at_ms > now => {
                self.revoke_one(&tenant, "", &hash, token.expires_at_ms, true)
                    .await
            }
            (_, Some(token)) if token.consumer_key == key => {
                self.end_access(&tenant, MarkedSubject::Session, &token.session)
                    .await
            }
            (Some(AccessToken { consumer_key, .. }), _)
            | (_, Some(RefreshToken { consumer_key, .. }))
                if consumer_key != key =>
            {
                Ok(nothing())
            }
            _ => self.revoked_before().await,
        }
    }

    /// Nothing is written for a token that is over or revoked already: whoever holds one could have
    /// every gateway told of it again and again.
    async fn revoke_signed(
        &self,
        tenant: &str,
        consumer_key: &str,
        text: &str,
        now_ms: i64,
    ) -> Result<Done, Halt> {
        self.learn_for(text).await?;
        let claims = self.own_claims(text);
        let Some(claims) = claims.filter(|claims| claims.azp == consumer_key) else {
            return Ok(nothing());
        };
        if after(0, claims.exp) <= now_ms {
            return self.revoked_before().await;
        }
        let mut read = self.apim.read().await?;
        if revocations::is_revoked(&mut read, tenant, &claims.iss, &claims.jti).await? {
            return self.revoked_before().await;
        }
        drop(read);
        let expires_at_ms = after(0, claims.exp);
        self.revoke_one(tenant, &claims.iss, &claims.jti, expires_at_ms, false)
            .await
    }

    /// Nothing of a token of this client's is left to revoke, but it may be a revocation that is asked for again because its
    /// answer was late or lost: this answer waits for it too, as for all that was changed until now (S3).
    async fn revoked_before(&self) -> Result<Done, Halt> {
        let mut read = self.apim.read().await?;
        Ok(Done::before(change_log::head(&mut read).await?.n))
    }

    async fn revoke_one(
        &self,
        tenant: &str,
        issuer: &str,
        token_id: &str,
        expires_at_ms: i64,
        stored: bool,
    ) -> Result<Done, Halt> {
        let mut write = self.apim.write("apim.tokens.revoke").await?;
        let revocation = revocations::Revocation {
            tenant: tenant.to_owned(),
            issuer: issuer.to_owned(),
            token_id: token_id.to_owned(),
            expires_at_ms,
        };
        revocations::save(&mut write, &revocation).await?;
        if stored {
            tokens::delete_access(&mut write, token_id).await?;
        }
        let change = Change::TokenRevoked {
            issuer: issuer.to_owned(),
            token_id: token_id.to_owned(),
            expires_at_ms,
        };
        let n = write
            .commit_with(tenant, &[change], new_id, self.clock.now_ms())
            .await?;
        Ok(Done::at(n))
    }

    /// The claims of a token that a key manager of this platform has signed, whatever its times.
    pub(super) fn own_claims(&self, text: &str) -> Option<Claims> {
        let parsed = token::parse(text).ok()?;
        let verified = parsed.kind == "at+jwt"
            && self.keys.verify(
                &parsed.key_id,
                &parsed.algorithm,
                parsed.signed,
                parsed.signature,
            );
        let claims = Claims::read(&parsed.claims).ok().filter(|_| verified)?;
        (claims.iss == self.settings.issuer).then_some(claims)
    }

    /// Ends everything that was issued to a subject until now.
    pub(super) async fn end_access(
        &self,
        tenant: &str,
        subject: MarkedSubject,
        id: &str,
    ) -> Result<Done, Halt> {
        if id.is_empty() {
            // What belongs to no session has the empty one: it must not end together.
            let (field, problem) = ("id".to_owned(), "must not be empty".to_owned());
            return Err(Refused::BadField { field, problem }.into());
        }
        let mut write = self.apim.write("apim.tokens.end_access").await?;
        if subject == MarkedSubject::Session {
            tokens::delete_session(&mut write, id).await?;
        }
        revocations::delete_api_keys(&mut write, tenant, subject, id, i64::MAX).await?;
        let own = self.clock.now_ms();
        // Read late: what a write that was faster has issued meanwhile ends as well.
        let now = write.moment_ms(own).await?;
        // One more: what was issued within this very millisecond ends as well.
        let mark = revocations::Mark {
            tenant: tenant.to_owned(),
            subject,
            subject_id: id.to_owned(),
            before_ms: now + 1,
            until_ms: self.everything_expired_by(own),
        };
        let until_ms = revocations::save_mark(&mut write, &mark).await?;
        let change = Change::IssuedBefore {
            subject,
            id: id.to_owned(),
            before_ms: now + 1,
            until_ms,
        };
        let n = write.commit_with(tenant, &[change], new_id, own).await?;
        Ok(Done::at(n))
    }
}
