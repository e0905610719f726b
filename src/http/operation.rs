//! The list of REST operations: each route is declared once, with its scopes and its body, and
//! mounted from that declaration. Tests walk the same list, so an operation cannot be forgotten.

use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::Next;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Router, middleware};

use crate::auth;
use crate::body::JSON_LIMIT;
use crate::services::Services;
use crate::wait;

/// What an operation takes as its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// None.
    Empty,
    /// A JSON object.
    Json,
    /// `multipart/form-data`.
    Multipart,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A bearer token with any one of these scopes.
    Scopes(&'static [&'static str]),
    /// Anybody: nobody in particular, or the holder of any valid token (anonymous browsing).
    Anybody,
    /// A user's HTTP Basic credentials, or a bearer token with one of these scopes.
    BasicOr(&'static [&'static str]),
    /// The operation checks its caller itself (OAuth2 client authentication) or is public.
    Own,
}

/// Whose the object is that an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The tenant's, or nobody's: whoever may call the operation finds it.
    Tenant,
    /// One person's: to everybody else it is not there.
    Person,
}

/// One REST operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// HTTP method.
    pub method: &'static str,
    /// Full path as axum takes it, such as `/api/am/publisher/v4/apis/{apiId}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its body.
    pub body: BodyKind,
    /// The most bytes of a JSON body.
    pub json_limit: usize,
    /// The parameters of its query: what reads another one is refused in development builds.
    pub query: &'static [&'static str],
    /// Whether a wrong `If-Match` is refused with 412.
    pub if_match: bool,
    /// Whether the audit log tells who looks at it.
    pub looked_at: bool,
    /// Whose the object is that its path, query or body names.
    pub owner: Owner,
    /// Members that must not name, together with others or alone, what there is already: 409 names
    /// one of them.
    pub unique: &'static [&'static str],
    /// Members of its body that must be there: 400 names the one that is missing. Each by its path, where `[]` stands
    /// for each of a list; a member of one that may be left out must be there where that one is.
    pub required: &'static [&'static str],
}

// === impl Operation ===

impl Operation {
    /// Declares an operation.
    #[must_use]
    pub const fn new(
        method: &'static str,
        path: &'static str,
        access: Access,
        body: BodyKind,
    ) -> Self {
        Self {
            method,
            path,
            access,
            body,
            json_limit: JSON_LIMIT,
            query: &[],
            if_match: false,
            looked_at: false,
            owner: Owner::Tenant,
            unique: &[],
            required: &[],
        }
    }

    /// The same with another limit for its JSON body.
    #[must_use]
    pub const fn json_limit(mut self, bytes: usize) -> Self {
        self.json_limit = bytes;
        self
    }

    /// The same with parameters in its query.
    #[must_use]
    pub const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    /// The same, changing only what its caller has seen, if they send `If-Match`.
    #[must_use]
    pub const fn if_match(mut self) -> Self {
        self.if_match = true;
        self
    }

    /// The same, and the audit log tells who looks at it.
    #[must_use]
    pub const fn looked_at(mut self) -> Self {
        self.looked_at = true;
        self
    }

    /// The same, about an object that is one person's.
    #[must_use]
    pub const fn owned(mut self) -> Self {
        self.owner = Owner::Person;
        self
    }

    /// The same with members that must be unique.
    #[must_use]
    pub const fn unique(mut self, members: &'static [&'static str]) -> Self {
        self.unique = members;
        self
    }

    /// The same with members that its body must have.
    #[must_use]
    pub const fn required(mut self, members: &'static [&'static str]) -> Self {
        self.required = members;
        self
    }

    /// Mounts `handler` under this declaration: its access rule runs before the handler does.
    pub fn mount<H, T>(&'static self, router: Router<Services>, handler: H) -> Router<Services>
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        let method = MethodFilter::try_from(
            axum::http::Method::from_bytes(self.method.as_bytes()).unwrap_or_default(),
        )
        .unwrap_or(MethodFilter::GET);
        let mut route: MethodRouter<Services> = on(method, handler);
        if self.method != "GET" {
            route = route.layer(middleware::from_fn(wait::chosen));
        }
        let guarded =
            route.layer(middleware::from_fn(
                move |request: Request, next: Next| async move {
                    auth::guard(self, request, next).await
                },
            ));
        router.route(self.path, guarded)
    }
}
