//! What callers of the management APIs write, nearly as it should be: none of it ends a reader by a panic, and what is refused is
//! refused with an error of theirs (4xx) that says what (ADR 0032).

use axum::http::header::{ACCEPT, CONTENT_TYPE, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::IntoResponse as _;

use crate::body::Fields;
use crate::error::ApiError;
use crate::mutants::each_mutant;
use crate::shape::{Kind, Members, bounded, check};
use crate::tally::Tally;
use crate::{entity_tag, media_range, search, target};

/// Its caller's fault, and it says which.
#[track_caller]
pub(crate) fn is_told(refused: ApiError) {
    assert!(!refused.description().is_empty());
    let status = refused.into_response().status();
    assert!(status.is_client_error(), "{status}");
}

#[test]
fn searches_that_are_nearly_some_are_read_or_refused() {
    let sample = "name:\"Pizza Shack\" version:1.0.0 tags:oven doc:guide best \"one or two\" context:/a status:PUBLISHED type:HTTP";
    let mut tally = Tally::default();
    each_mutant(&[sample.as_bytes()], 5_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let search = search::read(&text);
        tally.count("a search", search.is_ok());
        match search {
            Ok(found) => {
                let free = found.free.unwrap_or_default();
                assert!(free.len() <= text.len());
            }
            Err(error) => is_told(error),
        }
        if let Err(error) = search::order(Some(&text), Some(&text)) {
            is_told(error);
        }
    });
    tally.is_of_both(100);
}

#[test]
fn heads_that_are_nearly_some_are_read_or_refused() {
    let samples = [
        "\"7\", W/\"8\", *, 9",
        "text/*;q=0.5, application/json; charset=\"utf-8\" ;q=1.000, */*;q=0",
        "/api/am/publisher/v4/apis/%C3%A4?limit=7&query=%6eame%3Aa%20b",
    ];
    let mut tally = Tally::default();
    each_mutant(&samples.map(str::as_bytes), 8_000, |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else {
            return;
        };
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, value.clone());
        headers.append(ACCEPT, value.clone());
        headers.append(ACCEPT, HeaderValue::from_static("a/b"));
        let wanted = entity_tag::wanted(&headers);
        tally.count("tags", wanted.is_ok());
        match wanted {
            Ok(versions) => assert!(versions.iter().all(|version| *version > 0)),
            Err(error) => is_told(error),
        }
        let accept = media_range::asked("/api/am/publisher/v4/apis", &Method::GET, &headers);
        let answer = ([(CONTENT_TYPE, "application/json")], "{}").into_response();
        let status = media_range::unless_unwanted(accept.as_deref(), answer).status();
        let is_taken = status == StatusCode::OK;
        assert!(is_taken || status == StatusCode::NOT_ACCEPTABLE);
        tally.count("types of media", is_taken);
        if let Ok(uri) = Uri::try_from(value.as_bytes()) {
            let checked = target::check(&uri);
            tally.count("a target", checked.is_ok());
            if let Err(error) = checked {
                is_told(error);
            }
        }
    });
    tally.is_of_both(100);
}

#[test]
fn bodies_that_are_nearly_some_are_read_or_refused_with_the_member() {
    const KINDS: Members = &[
        ("name", Kind::Text(20)),
        ("flag", Kind::FlagOrWord),
        ("count", Kind::Number),
        ("tags", Kind::Texts),
        ("one", Kind::Object(&[("a", Kind::Text(5))])),
        ("many", Kind::List(&[("a", Kind::Flag)])),
        ("texts", Kind::TextsByName(9)),
    ];
    let sample = br#"{"name":"n\u00e9","flag":"true","count":15,"tags":["a","b"],"one":{"a":"b"},"many":[{"a":true}],
        "texts":{"a":"b"},"more":{"x":[[[1]]]}}"#;
    let keep = |bytes: &[u8]| {
        let mut fields = Fields::parse(bytes)?;
        check(&mut fields, KINDS)?;
        bounded(&fields, KINDS)?;
        fields.text("name", 20).map(drop)
    };
    if let Err(error) = keep(sample) {
        panic!("a sound sample: {}", error.description());
    }
    let mut tally = Tally::default();
    each_mutant(&[sample], 8_000, |bytes| {
        let kept = keep(bytes);
        tally.count("a body", kept.is_ok());
        if let Err(error) = kept {
            is_told(error);
        }
    });
    tally.is_of_both(100);
}
