//! Who is calling: a bearer token or an API key, found in the cache or asked of a key manager.

use std::borrow::Cow;
use std::sync::Arc;

use actors::gateway::{Caller, Presented};
use domain::address::AddressRange;
use domain::api::AuthType;
use domain::artifact::Artifact;
use domain::validation::Grant;
use domain::validation_cache::Hit;
use http::StatusCode;

use super::exchange::Exchange;
use super::fault::{API_KEY, EITHER, Extra, Fault, OAUTH2};

/// Authenticates, unless the resource is open to anybody.
pub(super) async fn authenticate(exchange: &mut Exchange) -> Result<(), Fault> {
    let operation = exchange.matched()?.operation();
    if operation.is_some_and(|operation| operation.auth_type == AuthType::None) {
        return Ok(());
    }
    let (presented, text) = presented(exchange)?;
    let wrong = || {
        Fault::invalid_credentials().with(Extra::Challenge(match presented {
            Presented::Bearer => OAUTH2,
            Presented::ApiKey => API_KEY,
        }))
    };
    let tenant = exchange.matched()?.route.api.artifact.tenant.as_str();
    let key = exchange.peer.remembered.key(presented, tenant, &text);
    let key = key.ok_or_else(wrong)?;
    let gateway = &exchange.ingress.gateway;
    let entry = gateway
        .look_up(key, tenant, (presented, &text), exchange.at_ms)
        .await
        .map_err(|_| Fault::platform("The credential cannot be validated now. Try again"))?;
    match entry.hit(exchange.at_ms) {
        Hit::Current(Caller::Granted(granted)) => {
            permitted(exchange, &granted.grant)?;
            exchange.application_id = Some(Arc::clone(&granted.application_id));
        }
        Hit::Current(Caller::Refused(_)) | Hit::Expired => return Err(wrong()),
        Hit::Touched => return Err(Fault::credential_changes()),
    }
    exchange.caller = Some(entry);
    Ok(())
}

/// The credential in the places that the API accepts.
fn presented(exchange: &Exchange) -> Result<(Presented, Cow<'_, str>), Fault> {
    let api = &exchange.matched()?.route.api;
    let artifact = &api.artifact;
    if artifact.oauth2 {
        let mut values = exchange.head.headers.get_all(&api.bearer).iter();
        if let Some(value) = values.next() {
            // Two would leave open which one counts.
            if values.next().is_some() {
                return Err(Fault::invalid_credentials());
            }
            let value = value.to_str().map_err(|_| Fault::invalid_credentials())?;
            if let Some((scheme, token)) = value.split_once(' ')
                && scheme.eq_ignore_ascii_case("bearer")
            {
                return Ok((Presented::Bearer, Cow::Borrowed(token.trim())));
            }
            if !artifact.api_key {
                return Err(Fault::invalid_credentials());
            }
        }
    }
    if artifact.api_key {
        let values = exchange.head.headers.get_all(&api.api_key).iter();
        let in_fields = values.map(|value| value.to_str().unwrap_or_default());
        let query = exchange.head.uri.query().unwrap_or_default();
        let pairs = query.split('&');
        let mut keys = in_fields.chain(pairs.filter_map(|pair| pair.strip_prefix("apikey=")));
        if let Some(key) = keys.next() {
            if keys.next().is_some() {
                return Err(Fault::invalid_credentials().with(Extra::Challenge(API_KEY)));
            }
            return Ok((Presented::ApiKey, Cow::Borrowed(key)));
        }
    }
    Err(missing(artifact))
}

/// Where an API key may be used from.
fn permitted(exchange: &Exchange, grant: &Grant) -> Result<(), Fault> {
    if !grant.permitted_ips.is_empty() {
        let mut ranges = grant
            .permitted_ips
            .iter()
            .filter_map(|text| AddressRange::parse(text));
        if !ranges.any(|range| range.contains(exchange.address)) {
            return Err(not_from_here(
                "The API key may not be used from this address",
            ));
        }
    }
    if !grant.permitted_referers.is_empty() {
        let referer = exchange.header("referer").unwrap_or_default();
        let fits = |pattern: &String| matches_referer(pattern, referer);
        if !grant.permitted_referers.iter().any(fits) {
            return Err(not_from_here(
                "The API key may not be used with this referer",
            ));
        }
    }
    Ok(())
}

/// A `*` in a pattern stands for anything.
fn matches_referer(pattern: &str, referer: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = referer.strip_prefix(first) else {
        return false;
    };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    let mut last = "";
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else {
            return false;
        };
        rest = behind;
        last = piece;
    }
    last.is_empty() || referer.ends_with(last)
}

fn not_from_here(description: &'static str) -> Fault {
    Fault::client(900_901, StatusCode::FORBIDDEN, "Forbidden", description)
}

fn missing(artifact: &Artifact) -> Fault {
    let challenge = match (artifact.oauth2, artifact.api_key) {
        (true, true) => EITHER,
        (false, true) => API_KEY,
        (_, false) => OAUTH2,
    };
    Fault::client(
        900_902,
        StatusCode::UNAUTHORIZED,
        "Missing Credentials",
        "Invalid Credentials. Make sure your API invocation call has a header: 'Authorization : \
         Bearer ACCESS_TOKEN' or 'apikey: API_KEY'",
    )
    .with(Extra::Challenge(challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referers_match_whole_or_by_stars() {
        assert!(matches_referer(
            "https://a.example/x",
            "https://a.example/x"
        ));
        assert!(!matches_referer(
            "https://a.example/x",
            "https://a.example/xy"
        ));
        assert!(matches_referer(
            "https://a.example/*",
            "https://a.example/x/y"
        ));
        assert!(matches_referer("*.example/x", "https://a.example/x"));
        assert!(!matches_referer("*.example/x", "https://a.example/x?evil"));
        assert!(!matches_referer(
            "https://a.example/*",
            "https://b.example/"
        ));
    }
}
