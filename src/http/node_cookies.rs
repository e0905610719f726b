//! The cookies of a node's own pages, and that the data plane neither passes them on nor lets anybody else set them.
//!
//! Browsers tell hosts apart and not ports: what `console` sets for `/admin` also comes with calls of an API whose
//! context lies below that, on the same host (threats 16, 23).

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// How the name of each of them begins, whichever node it is of. Browsers take such a name from a secure origin only.
pub(crate) const PREFIX: &str = "__Secure-headgate-";

/// Takes them off what a caller sends.
pub(crate) fn hide(fields: &mut HeaderMap) {
    rewrite(fields, COOKIE, |value| {
        let pairs = value.as_bytes().split(|byte| *byte == b';');
        let others: Vec<&[u8]> = pairs.filter(|pair| !is_ours(pair)).collect();
        let others = others.join(&b';');
        let others = others.trim_ascii();
        (!others.is_empty()).then(|| HeaderValue::from_bytes(others).ok())?
    });
}

/// Takes them off what an upstream answers.
pub(crate) fn refuse(fields: &mut HeaderMap) {
    rewrite(fields, SET_COOKIE, |_| None);
}

/// Puts what `put` gives in the place of each value that names one of ours; every other stays as it is.
fn rewrite(
    fields: &mut HeaderMap,
    name: HeaderName,
    put: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) {
    let names_ours = |value: &HeaderValue| {
        let mut pairs = value.as_bytes().split(|byte| *byte == b';');
        pairs.any(is_ours)
    };
    if !fields.get_all(&name).iter().any(names_ours) {
        return;
    }
    let values: Vec<HeaderValue> = fields.get_all(&name).iter().cloned().collect();
    fields.remove(&name);
    for value in values {
        let kept = if names_ours(&value) {
            put(&value)
        } else {
            Some(value)
        };
        if let Some(kept) = kept {
            fields.append(&name, kept);
        }
    }
}

/// Whether a pair has such a name; a browser sends the value of a cookie without a name alone.
fn is_ours(pair: &[u8]) -> bool {
    let name = pair.trim_ascii_start();
    let name = name.strip_prefix(b"=").unwrap_or(name).trim_ascii_start();
    let begins = name.get(..PREFIX.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(&name, HeaderValue::from_static(value));
        }
        fields
    }

    fn left(fields: &HeaderMap, name: HeaderName) -> Vec<&str> {
        let values = fields.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    #[test]
    fn an_upstream_gets_every_cookie_but_those_of_our_pages() {
        let mut sent = fields(
            COOKIE,
            &[
                "a=1; __Secure-headgate-0a1b=secret; b=2",
                "__Secure-headgate-form-0a1b=secret",
                "c=__Secure-headgate-0a1b;  d=4",
                "=__secure-headgate-0a1b=secret;e=5",
            ],
        );
        hide(&mut sent);
        assert_eq!(
            left(&sent, COOKIE),
            ["a=1; b=2", "c=__Secure-headgate-0a1b;  d=4", "e=5"]
        );
        let odd = HeaderValue::from_bytes(b"__Secure-headgate-0a1b=secret; a=\xff").unwrap();
        let mut sent = HeaderMap::from_iter([(COOKIE, odd)]);
        hide(&mut sent);
        assert_eq!(sent[COOKIE].as_bytes(), b"a=\xff");
    }

    #[test]
    fn an_upstream_sets_every_cookie_but_those_of_our_pages() {
        let mut set = fields(
            SET_COOKIE,
            &[
                "a=1; Path=/",
                "__Secure-headgate-0a1b=theirs; Path=/admin/ui; Secure",
                " =__Secure-headgate-0a1b=theirs",
                "b=2",
            ],
        );
        refuse(&mut set);
        assert_eq!(left(&set, SET_COOKIE), ["a=1; Path=/", "b=2"]);
    }
}
