//! One request on its way: what each phase found out and decided.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::{ApiRoute, Caller, CountedLimit, Granted, Rules, Standing};
use domain::artifact::ArtifactOperation;
use domain::lease::{Basket, Lease, QuotaHint};
use domain::route_table::Route;
use domain::validation::Grant;
use domain::validation_cache::{Entry, Hit};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::crowd::Place;
use super::fault::Fault;
use super::handshake::Handshake;
use super::ingress::Ingress;
use super::intake::Intake;
use super::meters::Meters;
use super::open_calls::Entered;
use super::serve::{Peer, account};

/// What a call is recorded as whose caller went away before its answer.
const CLIENT_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// What a call is recorded as whose handler panicked.
const PANICKED: (StatusCode, u32) = (StatusCode::INTERNAL_SERVER_ERROR, 900_900);

thread_local! {
    /// The request whose handler panicked on this thread just now.
    static LOST: Cell<Option<HeaderValue>> = const { Cell::new(None) };
}

/// A request and its state.
pub(super) struct Exchange {
    /// What serves it.
    pub(super) ingress: Arc<Ingress>,
    /// The request's head.
    pub(super) head: Parts,
    /// What it asks for, when that is a socket.
    pub(super) handshake: Option<Box<Handshake>>,
    /// The caller's address, by trusted proxies.
    pub(super) address: IpAddr,
    /// The connection it came over.
    pub(super) peer: Arc<Peer>,
    /// When it came, milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// When it came, on the boot clock.
    pub(super) began: Duration,
    /// Names it in logs, at the upstream and to the caller.
    pub(super) request_id: HeaderValue,
    /// A change that its rules, its route and its matches know of, if not of later ones.
    pub(super) applied: u64,
    /// The throttling and deny policies of its moment.
    pub(super) rules: Arc<Rules>,
    /// The API it is for, as soon as that is known.
    pub(super) route: Option<Arc<Route<ApiRoute>>>,
    /// Its place among the calls under way, once it has one.
    pub(super) place: Option<Place>,
    /// How far its body has come.
    pub(super) intake: Arc<Intake>,
    /// Whether its account was opened; a request that is dropped before (the caller went away)
    /// is accounted then.
    pub(super) accounted: bool,
    /// What it matched.
    pub(super) matched: Option<Matched>,
    /// Who calls.
    pub(super) caller: Option<Arc<Entry<Caller>>>,
    /// The caller's application, for the account: whatever happens to the entry while the answer flows.
    pub(super) application_id: Option<Arc<str>>,
    /// When it has waited long enough for units of all its levels, once it waits (L8).
    pub(super) held_until_ms: Option<i64>,
    /// Units taken so far; put back when it is refused.
    pub(super) basket: Basket<Arc<Lease>>,
    /// Counts its bytes, when a policy limits them.
    pub(super) meters: Option<Arc<Meters>>,
    /// Its place among the open calls, once it was handed on.
    pub(super) open: Option<Arc<Entered>>,
    /// What was decided.
    pub(super) decision: Decision,
}

/// The API and resource of a request.
pub(super) struct Matched {
    /// The API.
    pub(super) route: Arc<Route<ApiRoute>>,
    /// What follows the context in the canonical path.
    pub(super) rest: String,
    /// The operation's position in the artifact.
    pub(super) operation: usize,
    /// The `Origin` answers, when the API does cross-origin.
    pub(super) cors: Option<CorsAnswer>,
}

/// Answers for a cross-origin caller.
#[derive(Debug, Clone)]
pub(super) struct CorsAnswer {
    /// `Access-Control-Allow-Origin`.
    pub(super) origin: HeaderValue,
    /// Whether credentials may be sent.
    pub(super) credentials: bool,
    /// `Access-Control-Expose-Headers`.
    pub(super) expose: Option<HeaderValue>,
}

/// What the phases decided, for the access log, usage and the explanation.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// The tightest limit and what is left of it.
    pub(super) quota: Option<(Arc<CountedLimit>, QuotaHint)>,
    /// How old what it was judged by may be, where nobody of the control plane answers (S5).
    pub(super) stale: Option<Duration>,
    /// Whether it was handed to the upstream.
    pub(super) forwarded: bool,
    /// The upstream's time to its head, microseconds.
    pub(super) upstream_us: u64,
    /// The throttling policy that refused it.
    pub(super) refused_by: Option<Arc<str>>,
}

// === impl Exchange ===

impl Exchange {
    /// What matched.
    ///
    /// # Errors
    /// 404 when nothing did.
    pub(super) fn matched(&self) -> Result<&Matched, Fault> {
        self.matched.as_ref().ok_or_else(Fault::not_found)
    }

    /// The caller's grant, tested once more (V2); none when anonymous.
    ///
    /// # Errors
    /// 503 when a change touched it since, 401 when it ran out.
    pub(super) fn grant(&self) -> Result<Option<&Grant>, Fault> {
        let granted = granted(self.caller.as_ref(), self.at_ms)?;
        Ok(granted.map(|granted| &granted.grant))
    }

    /// Whether a change was applied, or touched the caller, since the call was judged, or the right
    /// to answer it ran out (S2).
    pub(super) fn is_overtaken(&self) -> bool {
        let is_marked = self.decision.stale.is_some();
        match self.ingress.gateway.standing() {
            Some(Standing::Current) => {}
            Some(Standing::Stale(_)) if is_marked => {}
            _ => return true,
        }
        let touched = |entry: &Arc<Entry<Caller>>| matches!(entry.hit(self.at_ms), Hit::Touched);
        self.ingress.gateway.applied() != self.applied || self.caller.as_ref().is_some_and(touched)
    }

    /// Forgets what was judged and gives back what was taken, to be judged by the state of now.
    pub(super) fn begin_anew(&mut self) {
        let gateway = &self.ingress.gateway;
        self.applied = gateway.applied();
        self.rules = Arc::clone(&gateway.rules());
        // An answer must not say what a replaced revision would have.
        self.route = None;
        self.matched = None;
        self.caller = None;
        self.application_id = None;
        self.give_back();
    }

    /// Gives back units and bytes that were taken.
    pub(super) fn give_back(&mut self) {
        self.basket = Basket::default();
        self.meters = None;
        self.decision.quota = None;
        self.decision.refused_by = None;
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// What an entry of the token cache grants, tested at this use (V2); none for anonymous calls.
///
/// # Errors
/// 503 when a change touched it since: whether it still holds is not known. 401 when it ran out.
pub(super) fn granted(
    caller: Option<&Arc<Entry<Caller>>>,
    now_ms: i64,
) -> Result<Option<&Granted>, Fault> {
    let Some(entry) = caller else {
        return Ok(None);
    };
    match entry.hit(now_ms) {
        Hit::Current(Caller::Granted(granted)) => Ok(Some(granted)),
        Hit::Touched => Err(Fault::credential_changes()),
        Hit::Current(Caller::Refused(_)) | Hit::Expired => Err(Fault::invalid_credentials()),
    }
}

/// The id of the request whose handler panicked on this thread just now.
pub(super) fn lost() -> Option<HeaderValue> {
    LOST.take()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.accounted {
            let (status, fault) = if std::thread::panicking() {
                LOST.set(Some(self.request_id.clone()));
                PANICKED
            } else {
                (CLIENT_GONE, 0)
            };
            let mut account = account(self, status, fault);
            account.broken = true;
        }
    }
}

// === impl Matched ===

impl Matched {
    /// The matched operation.
    pub(super) fn operation(&self) -> Option<&ArtifactOperation> {
        self.route.api.artifact.operations.get(self.operation)
    }
}

#[cfg(test)]
mod tests {
    use domain::validation::RefusalReason;
    use domain::validation_cache::{Subject, SubjectKind, Touches};

    use super::*;

    #[test]
    fn a_caller_whom_a_change_touches_during_the_call_is_not_called_invalid() {
        let mut touches = Touches::new(8, 0);
        let subject = Subject::new(SubjectKind::Application, "carbon.super", "one");
        let watched = touches.watch(std::slice::from_ref(&subject));
        let refused = Caller::Refused(RefusalReason::Revoked);
        let entry = Arc::new(Entry::new(refused, 1, 100, watched));
        let status = |now_ms| {
            let judged = granted(Some(&entry), now_ms).map(|known| known.is_some());
            judged.map_err(|fault| fault.status.as_u16())
        };
        assert_eq!((status(1), status(100)), (Err(401), Err(401)));
        touches.touch(&subject, 2);
        assert_eq!(status(1), Err(503));
        assert!(matches!(granted(None, 1), Ok(None)));
    }

    #[test]
    fn the_answer_to_a_request_that_panicked_names_it_and_no_later_one() {
        let id = HeaderValue::from_static("the-one");
        std::thread::spawn(move || {
            assert_eq!(lost(), None);
            LOST.set(Some(id.clone()));
            assert_eq!((lost(), lost()), (Some(id), None));
        })
        .join()
        .unwrap();
    }
}
