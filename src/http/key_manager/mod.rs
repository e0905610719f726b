//! The key manager's HTTP: OAuth2 and OpenID Connect, client registration, people.

mod client_credentials;
mod discovery;
mod introspect;
mod oauth_error;
mod register;
mod revoke;
mod scim;
mod scim_error;
mod scim_patch;
mod sign_up;
mod token;
mod userinfo;

use axum::Router;

use crate::operation::Operation;
use crate::services::Services;

/// The declared operations.
pub const OPERATIONS: &[&Operation] = &[
    &token::TOKEN,
    &revoke::REVOKE,
    &introspect::INTROSPECT,
    &userinfo::USERINFO,
    &userinfo::USERINFO_POST,
    &discovery::JWKS,
    &discovery::CONFIGURATION,
    &register::REGISTER,
    &scim::CREATE,
    &scim::LIST,
    &scim::GET,
    &scim_patch::PATCH,
    &scim::DELETE,
    &sign_up::SIGN_UP,
];

/// The routes.
pub(crate) fn router() -> Router<Services> {
    let router = token::TOKEN.mount(Router::new(), token::token);
    let router = revoke::REVOKE.mount(router, revoke::revoke);
    let router = introspect::INTROSPECT.mount(router, introspect::introspect);
    let router = userinfo::USERINFO.mount(router, userinfo::userinfo);
    let router = userinfo::USERINFO_POST.mount(router, userinfo::userinfo);
    let router = discovery::JWKS.mount(router, discovery::jwks);
    let router = discovery::CONFIGURATION.mount(router, discovery::configuration);
    let router = register::REGISTER.mount(router, register::register);
    let router = scim::CREATE.mount(router, scim::create);
    let router = scim::LIST.mount(router, scim::list);
    let router = scim::GET.mount(router, scim::get);
    let router = scim_patch::PATCH.mount(router, scim_patch::patch);
    let router = scim::DELETE.mount(router, scim::delete);
    sign_up::SIGN_UP.mount(router, sign_up::sign_up)
}
