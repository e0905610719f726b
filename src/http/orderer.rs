//! Who orders something that the audit log tells of, and from where.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::auth::Caller;
use crate::caller_address::CallerAddress;
use crate::error::ApiError;

/// The caller of an operation that changes something of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orderer {
    /// User name without tenant.
    pub(crate) user: String,
    /// Tenant domain.
    pub(crate) tenant: String,
    /// Where they come from.
    pub(crate) address: IpAddr,
}

// === impl Orderer ===

impl<S: Sync> FromRequestParts<S> for Orderer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Caller { user, tenant, .. } = Caller::from_request_parts(parts, state).await?;
        let address = parts.extensions.get::<CallerAddress>();
        Ok(Self {
            user,
            tenant,
            // As of one whose connection has no address.
            address: address.map_or(Ipv4Addr::UNSPECIFIED.into(), |CallerAddress(of)| *of),
        })
    }
}
