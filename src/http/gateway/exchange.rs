//! One request on its way: what each phase found out and decided.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::{ApiRoute, Caller, CountedLimit, Granted, Rules};
use domain::artifact::ArtifactOperation;
use domain::lease::{Basket, Lease, QuotaHint};
use domain::route_table::Route;
use domain::validation::Grant;
use domain::validation_cache::{Entry, Hit};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::fault::Fault;
use super::ingress::Ingress;
use super::intake::Intake;
use super::meters::Meters;
use super::serve::{Peer, account};

/// What a call is recorded as whose caller went away before its answer.
const CLIENT_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// A request and its state.
pub(super) struct Exchange {
    /// What serves it.
    pub(super) ingress: Arc<Ingress>,
    /// The request's head.
    pub(super) head: Parts,
    /// The caller's address, by trusted proxies.
    pub(super) address: IpAddr,
    /// The connection it came over.
    pub(super) peer: Peer,
    /// When it came, milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// When it came, on the boot clock.
    pub(super) began: Duration,
    /// Names it in logs, at the upstream and to the caller.
    pub(super) request_id: HeaderValue,
    /// The throttling and deny policies of its moment.
    pub(super) rules: Arc<Rules>,
    /// The API it is for, as soon as that is known.
    pub(super) route: Option<Arc<Route<ApiRoute>>>,
    /// How far its body has come.
    pub(super) intake: Arc<Intake>,
    /// Whether its account was opened; a request that is dropped before (the caller went away)
    /// is accounted then.
    pub(super) accounted: bool,
    /// What it matched.
    pub(super) matched: Option<Matched>,
    /// Who calls.
    pub(super) caller: Option<Arc<Entry<Caller>>>,
    /// Units taken so far; put back when it is refused.
    pub(super) basket: Basket<Arc<Lease>>,
    /// Counts its bytes, when a policy limits them.
    pub(super) meters: Option<Arc<Meters>>,
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
    /// 401 when it was ended or ran out since.
    pub(super) fn grant(&self) -> Result<Option<&Grant>, Fault> {
        let granted = granted(self.caller.as_ref(), self.at_ms)?;
        Ok(granted.map(|granted| &granted.grant))
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// What an entry of the token cache grants, tested at this use (V2); none for anonymous calls.
///
/// # Errors
/// 401 when it was ended or ran out since.
pub(super) fn granted(
    caller: Option<&Arc<Entry<Caller>>>,
    now_ms: i64,
) -> Result<Option<&Granted>, Fault> {
    let Some(entry) = caller else {
        return Ok(None);
    };
    match entry.hit(now_ms) {
        Hit::Current(Caller::Granted(granted)) => Ok(Some(granted)),
        _ => Err(Fault::invalid_credentials()),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.accounted {
            let mut account = account(self, CLIENT_GONE, 0);
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
