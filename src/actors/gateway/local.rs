//! Judges a signed token without a key manager (DESIGN §5), by what this gateway keeps: the
//! verification keys, what ended before its time, and whom key managers have told it of. What it
//! cannot know it does not judge: a key, a client or an opaque credential that nobody told it of.

use domain::token::{self, Claims};
use domain::validation::{Grant, RefusalReason, Verdict};

use super::state::State;
use crate::key_manager::Holder;

/// The type of an access token (RFC 9068).
const ACCESS_TOKEN: &str = "at+jwt";

/// What this gateway can say of a signed token itself, true at `at`; none when it cannot tell. What
/// costs little is looked at before the signature is; what is refused by that names nothing that the
/// token says of itself, for anybody may have written it.
pub(super) fn judge(state: &State, issuer: &str, text: &str, at: u64) -> Option<Verdict> {
    let refused = |reason, token_id| {
        Some(Verdict::Refused {
            at,
            reason,
            token_id,
        })
    };
    let keys = state.keys.load();
    let parsed = match token::parse(text) {
        Ok(parsed) if parsed.kind == ACCESS_TOKEN => parsed,
        _ => return refused(RefusalReason::Malformed, None),
    };
    // It may be of a key manager that came meanwhile.
    if !keys.knows(&parsed.key_id) {
        return None;
    }
    let claims = Claims::read(&parsed.claims).ok();
    let Some(claims) = claims.filter(|claims| claims.iss == issuer) else {
        return refused(RefusalReason::Malformed, None);
    };
    let now_ms = state.clock.now_ms();
    let consumer = super::locked(&state.consumers).find(&claims.azp, now_ms)?;
    let holder = Holder::of(claims, consumer.tenant.clone());
    if !holder.is_in_its_time(now_ms) {
        return refused(RefusalReason::Expired, None);
    }
    let is_signed = keys.verify(
        &parsed.key_id,
        &parsed.algorithm,
        parsed.signed,
        parsed.signature,
    );
    if !is_signed {
        return refused(RefusalReason::Malformed, None);
    }
    if is_ended(state, &holder, consumer.application_id()) {
        return refused(RefusalReason::Revoked, Some(holder.token_id));
    }
    let grant: Grant = holder.granted(at, consumer.as_ref().clone());
    Some(Verdict::Granted(Box::new(grant)))
}

fn is_ended(state: &State, holder: &Holder, application_id: &str) -> bool {
    let ended = state.ended.load();
    let ended = super::locked(&ended);
    let tenant = &holder.tenant;
    let subjects = holder.marked_subjects(application_id);
    ended.is_revoked(tenant, &holder.issuer, &holder.token_id)
        || ended.is_marked(tenant, holder.issued_at_ms, &subjects)
}
