//! What the target of a request may hold: identifiers and parameters that a database can store.

use axum::http::Uri;

use crate::error::ApiError;

/// Refuses NUL, which no identifier has and databases cannot store, and a path that is not UTF-8.
///
/// # Errors
/// 400, naming the parameter if it is one.
pub(crate) fn check(uri: &Uri) -> Result<(), ApiError> {
    let path = decoded(uri.path());
    if path.contains(&0) {
        return Err(ApiError::bad_request("the path must not contain NUL"));
    }
    if std::str::from_utf8(&path).is_err() {
        return Err(ApiError::bad_request("the path is not UTF-8"));
    }
    for parameter in uri.query().unwrap_or_default().split('&') {
        if decoded(parameter).contains(&0) {
            let name = parameter.split('=').next().unwrap_or_default();
            return Err(ApiError::bad_field(name, "must not contain NUL"));
        }
    }
    Ok(())
}

/// The bytes behind percent-encoding (RFC 3986 §2.1); what is no encoding stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let mut digit = || char::from(ahead.next()?).to_digit(16);
        match (byte, digit(), digit()) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_what_is_not_utf8_are_refused_where_they_stand() {
        let refused = |target: &str| {
            let refused = check(&target.parse().unwrap());
            refused.err().map(|error| error.description().to_owned())
        };
        assert_eq!(refused("/apis/%C3%A4?query=100%25&x=%"), None);
        let path = refused("/apis/%00").unwrap();
        assert!(path.contains("NUL"), "{path}");
        assert!(refused("/apis/a%ff").unwrap().contains("UTF-8"));
        let query = refused("/apis?limit=1&query=a%00b").unwrap();
        assert!(query.starts_with("query: "), "{query}");
    }
}
