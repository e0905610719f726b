//! What is known of a refresh token beside using it (RFC 7662).

use domain::change::MarkedSubject;
use storage::apim::tokens::{self, RefreshToken};
use storage::apim::{oauth_clients, revocations};
use storage::{Read, StoreError};

use super::command::{Outcome, Refresh, Refused};
use super::desk::Desk;
use super::handle::hash_hex;

impl Desk {
    /// A refresh token that would work now; looking at it uses nothing up.
    pub(super) async fn find_refresh(&self, text: &str) -> Result<Outcome, Refused> {
        let now = self.clock.now_ms();
        let gone = || Refused::NotFound("refresh token".to_owned());
        let mut read = self.apim.read().await?;
        let found = tokens::find_refresh(&mut read, &hash_hex(text)).await?;
        let found = found.filter(|found| !found.used && found.expires_at_ms > now);
        let found = found.ok_or_else(gone)?;
        let client = oauth_clients::find(&mut read, &found.consumer_key).await?;
        if client.is_none() || is_ended(&mut read, &found).await? {
            return Err(gone());
        }
        Ok(Outcome::Refresh(Refresh {
            consumer_key: found.consumer_key,
            tenant: found.tenant,
            user: found.username,
            scopes: found.scopes,
            issued_at_ms: found.issued_at_ms,
            expires_at_ms: found.expires_at_ms,
        }))
    }
}

/// Whether a mark covers the token (S4).
pub(super) async fn is_ended(read: &mut Read, token: &RefreshToken) -> Result<bool, StoreError> {
    for (subject, id) in [
        (MarkedSubject::User, &token.username),
        (MarkedSubject::Login, &token.username),
        (MarkedSubject::Client, &token.consumer_key),
        (MarkedSubject::Session, &token.session),
    ] {
        let mark = revocations::find_mark(read, &token.tenant, subject, id).await?;
        if mark.is_some_and(|before| token.issued_at_ms < before) {
            return Ok(true);
        }
    }
    Ok(false)
}
