//! Who calls a management operation, and whether they may (each operation declares its scopes).

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use domain::api::SUPER_TENANT;
use domain::validation::{Grant, Verdict};

use crate::caller_address::{self, CallerAddress};
use crate::entity_tag;
use crate::error::ApiError;
use crate::looks::Look;
use crate::media_range;
use crate::operation::{Access, Operation};
use crate::services::Services;
use crate::target;
use crate::turned_away::Stranger;

/// What the paths of operations begin with that administrators alone see and order.
const ADMINISTRATORS: &str = "/admin/";

/// The authenticated caller of a management operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Tenant domain.
    pub tenant: String,
    /// User name without tenant.
    pub user: String,
    /// Scopes granted; empty for HTTP Basic.
    pub scopes: Vec<String>,
    /// Whether the user proved themselves by password (HTTP Basic) and not by a token.
    pub by_password: bool,
}

/// Why a caller is not admitted, and who that is where it is known.
struct Unadmitted {
    error: ApiError,
    caller: Option<Caller>,
}

/// The caller, or nobody where anonymous browsing is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaybeCaller(pub Option<Caller>);

// === impl Unadmitted ===

impl From<ApiError> for Unadmitted {
    fn from(error: ApiError) -> Self {
        let caller = None;
        Self { error, caller }
    }
}

// === impl Caller ===

impl Caller {
    /// Whether a scope was granted.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::unauthorized("send a bearer token"))
    }
}

impl<S: Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}

/// Runs before every handler: finds the caller and checks the operation's access rule.
pub(crate) async fn guard(
    operation: &'static Operation,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(services) = request.extensions().get::<Services>().cloned() else {
        return ApiError::internal(&"services are not attached to the request").into_response();
    };
    if let Err(error) = known_tenant(request.uri(), request.headers()) {
        return error.into_response();
    }
    let address = caller_address::of(&request, &services.trusted_proxies);
    let admitted = admit(operation, &services, request.headers(), address).await;
    let now = services.system.clock.monotonic();
    services.turned_away.look(now);
    let admitted = admitted.map_err(|unadmitted| {
        let asked = (operation, request.uri());
        turned_away(&services, asked, unadmitted, (address, now))
    });
    let caller = match admitted.and_then(|caller| target::check(request.uri()).map(|()| caller)) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    if let Some(caller) = caller {
        if operation.looked_at {
            looked(&services, request.uri(), &caller, address);
        }
        request.extensions_mut().insert(caller);
    }
    request.extensions_mut().insert(CallerAddress(address));
    request.extensions_mut().insert(operation);
    let method = request.method().clone();
    let known = request.headers().get(entity_tag::KNOWN).cloned();
    let accept = media_range::asked(operation.path, &method, request.headers());
    let response = next.run(request).await;
    let response = media_range::unless_unwanted(accept.as_deref(), response);
    entity_tag::unless_known(&method, known.as_ref(), response)
}

/// Tells the audit log of it, where the operation is of those that administrators alone see or order.
fn turned_away(
    services: &Services,
    (operation, uri): (&Operation, &Uri),
    unadmitted: Unadmitted,
    (address, now): (IpAddr, Duration),
) -> ApiError {
    let Unadmitted { error, caller } = unadmitted;
    let is_refused = matches!(
        error.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    if operation.path.starts_with(ADMINISTRATORS) && is_refused {
        let mut who = Stranger::nameless(address);
        if let Some(caller) = caller {
            (who.user, who.tenant) = (caller.user, caller.tenant);
        }
        if services.turned_away.counts(&who, now) {
            let asked = (operation.method, uri.path());
            services.turned_away.tell(who, asked, error.description());
        }
    }
    error
}

fn looked(services: &Services, uri: &Uri, caller: &Caller, address: IpAddr) {
    let at = uri.path_and_query();
    let look = Look {
        user: caller.user.clone(),
        tenant: caller.tenant.clone(),
        address,
        at: at.map_or_else(String::new, ToString::to_string),
    };
    let now = services.system.clock.monotonic();
    services.looks.tell(look, now);
}

/// Refuses what is asked of a tenant that is not served: the answer would be another one's.
fn known_tenant(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let query = uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "requestedTenant")
        .map(|(_, tenant)| tenant.into_owned());
    let header = headers.get("x-wso2-tenant");
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    for tenant in [named, header].into_iter().flatten() {
        if !tenant.is_empty() && tenant != SUPER_TENANT {
            return Err(ApiError::not_found("tenant", &tenant));
        }
    }
    Ok(())
}

async fn admit(
    operation: &Operation,
    services: &Services,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Option<Caller>, Unadmitted> {
    let (scopes, optional, basic) = match operation.access {
        Access::Own => return Ok(None),
        Access::Scopes(scopes) => (scopes, false, false),
        Access::Anybody => (&[][..], true, false),
        Access::BasicOr(scopes) => (scopes, false, true),
    };
    let Some(header) = headers.get(AUTHORIZATION) else {
        return match (optional, basic) {
            (true, _) => Ok(None),
            (_, true) => {
                Err(ApiError::basic_unauthorized("send a user name and a password").into())
            }
            _ => Err(ApiError::unauthorized("send a bearer token").into()),
        };
    };
    let header = header
        .to_str()
        .map_err(|_| ApiError::unauthorized("the authorization header is not text"))?;
    let (scheme, credential) = header.split_once(' ').unwrap_or((header, ""));
    let credential = credential.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        if services.is_operator(credential) {
            return Ok(Some(operator()));
        }
        let caller = by_token(services, credential).await?;
        if optional || scopes.iter().any(|scope| caller.has(scope)) {
            return Ok(Some(caller));
        }
        let lacks = format!("the token carries none of the scopes {}", scopes.join(" "));
        return Err(Unadmitted {
            error: ApiError::forbidden(lacks),
            caller: Some(caller),
        });
    }
    if basic && scheme.eq_ignore_ascii_case("basic") {
        let caller = services.key_manager.basic(credential, address).await;
        let caller = caller.map_err(|error| ApiError::unavailable(&error))?;
        let (tenant, user) =
            caller.ok_or_else(|| ApiError::basic_unauthorized("wrong user name or password"))?;
        return Ok(Some(Caller {
            tenant,
            user,
            scopes: Vec::new(),
            by_password: true,
        }));
    }
    Err(ApiError::unauthorized("send the credential as a bearer token").into())
}

/// Whether a header is that of an administrator (scope `apim:admin`).
pub(crate) async fn administrator(
    services: &Services,
    header: Option<&HeaderValue>,
) -> Result<(), ApiError> {
    let text = header.and_then(|header| header.to_str().ok()).unwrap_or("");
    let credential = text.split_once(' ');
    let credential = credential.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some(token) = credential.map(|(_, token)| token.trim()) else {
        return Err(ApiError::unauthorized(
            "send an administrator's bearer token",
        ));
    };
    if services.is_operator(token) {
        return Ok(());
    }
    if by_token(services, token).await?.has("apim:admin") {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "the token does not carry the scope apim:admin",
    ))
}

/// Whoever can read the node's own credential file is its operator and may do everything.
fn operator() -> Caller {
    Caller {
        tenant: SUPER_TENANT.to_owned(),
        user: "operator".to_owned(),
        scopes: vec!["apim:admin".to_owned()],
        by_password: false,
    }
}

/// Whose a bearer token is.
pub(crate) async fn by_token(services: &Services, token: &str) -> Result<Caller, ApiError> {
    let verdict = services.key_manager.validate(token).await;
    match verdict.map_err(|error| ApiError::unavailable(&error))? {
        Verdict::Granted(grant) => Ok(caller_of(&grant)),
        Verdict::Refused { .. } => Err(ApiError::unauthorized(
            "the token is not valid: get a new one",
        )),
    }
}

fn caller_of(grant: &Grant) -> Caller {
    Caller {
        tenant: grant.tenant.clone(),
        user: grant.user.clone(),
        scopes: grant.scopes.clone(),
        by_password: false,
    }
}
