//! What a caller takes as an answer (`Accept`, RFC 9110 §12.5.1), and the refusal of an answer that
//! it does not take: the contracts declare 406 for what is read.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;

/// What the paths of the Publisher, the Developer Portal and the Administration begin with.
const CONTRACTS: &str = "/api/am/";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

/// One item of `Accept`: a media type, or a range of them.
struct Range {
    /// In lower case; `*` is any.
    kind: String,
    /// In lower case; `*` is any.
    subtype: String,
    /// Names in lower case; without the weight.
    parameters: Vec<(String, String)>,
    /// Whether its weight is zero: the caller does not take it.
    is_unwanted: bool,
}

/// A text of which one word after the other is taken.
struct Words<'a>(&'a str);

/// The `Accept` of a request by which its answer has to be judged: reads of the contracts' operations alone have one.
pub(crate) fn asked(path: &str, method: &Method, headers: &HeaderMap) -> Option<String> {
    if !path.starts_with(CONTRACTS) || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let values = headers.get_all(ACCEPT).iter();
    // What is no text is malformed.
    let values: Option<Vec<_>> = values.map(|value| value.to_str().ok()).collect();
    values.map(|values| values.join(","))
}

/// The answer, or 406 where it is good and its caller does not take its type.
pub(crate) fn unless_unwanted(accept: Option<&str>, response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    match (accept, kind) {
        (Some(accept), Some(kind)) if response.status().is_success() && !takes(accept, kind) => {
            ApiError::not_acceptable(kind).into_response()
        }
        _ => response,
    }
}

/// Whether a caller with this `Accept` takes it. The contracts declare JSON for a description, which is given back as it
/// was uploaded: who asks for what they declare gets it in YAML as well.
fn takes(accept: &str, content_type: &str) -> bool {
    admits(accept, content_type) || content_type == YAML && admits(accept, JSON)
}

/// Whether an `Accept` takes a `Content-Type`. An empty one takes anything, and so does one that is malformed:
/// some callers' own lists are, and they take what they get.
fn admits(accept: &str, content_type: &str) -> bool {
    let (Some(ranges), Some(kind)) = (read(accept), Words(content_type).range()) else {
        return true;
    };
    // Of all that fit, the most precise one counts.
    let fitting = ranges.iter().filter_map(|range| range.fit(&kind));
    let best = fitting.max_by_key(|(precision, is_unwanted)| (*precision, !is_unwanted));
    ranges.is_empty() || best.is_some_and(|(_, is_unwanted)| !is_unwanted)
}

/// The items of a list; none where it is malformed.
fn read(accept: &str) -> Option<Vec<Range>> {
    let mut words = Words(accept);
    let mut ranges = Vec::new();
    loop {
        words.skip_blanks();
        if words.0.is_empty() {
            return Some(ranges);
        }
        // Empty items say nothing (RFC 9110 §5.6.1).
        if words.takes(',') {
            continue;
        }
        ranges.push(words.range()?);
        words.skip_blanks();
        if !words.0.is_empty() && !words.takes(',') {
            return None;
        }
    }
}

/// Whether a weight is zero; none where it is no weight (RFC 9110 §12.4.2).
fn is_zero(weight: &str) -> Option<bool> {
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    let only = |these: &[u8]| digits.bytes().all(|digit| these.contains(&digit));
    match whole {
        _ if digits.len() > 3 => None,
        "0" if only(b"0123456789") => Some(only(b"0")),
        "1" if only(b"0") => Some(false),
        _ => None,
    }
}

/// What a token is made of (RFC 9110 §5.6.2).
fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

// === impl Range ===

impl Range {
    /// How precisely the range names this type, and whether it is unwanted; none where it does not name it.
    fn fit(&self, kind: &Self) -> Option<(usize, bool)> {
        let names = |range: &str, of: &str| range == "*" || range == of;
        let has_all = || {
            let mut parameters = self.parameters.iter();
            parameters.all(|one| kind.parameters.contains(one) || is_unicode(one))
        };
        let fits = names(&self.kind, &kind.kind) && names(&self.subtype, &kind.subtype);
        (fits && has_all()).then(|| {
            let types = [&self.kind, &self.subtype];
            let named = types.iter().filter(|one| **one != "*").count();
            (named + self.parameters.len(), self.is_unwanted)
        })
    }
}

/// Whether a parameter says what is true of all our answers: many callers name the charset of JSON, which has no such
/// parameter (RFC 8259 §11).
fn is_unicode((name, value): &(String, String)) -> bool {
    name == "charset" && value.eq_ignore_ascii_case("utf-8")
}

// === impl Words ===

impl Words<'_> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn takes(&mut self, letter: char) -> bool {
        let rest = self.0.strip_prefix(letter);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<String> {
        let end = self.0.find(|letter| !is_token(letter));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!token.is_empty()).then(|| token.to_owned())
    }

    /// The rest of a quoted text whose first quote was taken.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut letters = self.0.chars();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => text.push(letters.next()?),
                letter => text.push(letter),
            }
        }
        self.0 = letters.as_str();
        Some(text)
    }

    fn range(&mut self) -> Option<Range> {
        let kind = self.token()?.to_ascii_lowercase();
        if !self.takes('/') {
            return None;
        }
        let subtype = self.token()?.to_ascii_lowercase();
        if kind == "*" && subtype != "*" {
            return None;
        }
        let mut range = Range {
            kind,
            subtype,
            parameters: Vec::new(),
            is_unwanted: false,
        };
        loop {
            self.skip_blanks();
            if !self.takes(';') {
                return Some(range);
            }
            self.skip_blanks();
            // A semicolon with nothing behind it is no parameter, and no fault either (RFC 9110 §5.6.6).
            if self.0.is_empty() || self.0.starts_with([';', ',']) {
                continue;
            }
            let name = self.token()?.to_ascii_lowercase();
            if !self.takes('=') {
                return None;
            }
            let value = match self.takes('"') {
                true => self.quoted()?,
                false => self.token()?,
            };
            match name.as_str() {
                "q" => range.is_unwanted = is_zero(&value)?,
                _ => range.parameters.push((name, value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    const JSON: &str = "application/json";

    #[test]
    fn a_list_takes_what_its_most_precise_range_takes() {
        for (accept, takes) in [
            ("", true),
            (" , ,", true),
            ("*/*", true),
            ("application/*", true),
            ("application/json", true),
            ("Application/JSON", true),
            ("application/xml", false),
            ("text/*", false),
            ("application/jsonp", false),
            ("text/html, application/xml;q=0.9, */*;q=0.1", true),
            ("text/html,application/xml", false),
            ("text/html,, application/json", true),
            ("application/json;q=0.5", true),
            ("application/json;q=0", false),
            ("application/json ; Q=0.000, */*", false),
            ("*/*;q=0", false),
            ("*/*;q=0, application/json", true),
            ("application/*;q=0, */*", false),
            ("application/json, application/*;q=0", true),
            ("application/json;q=0, application/json;q=1", true),
        ] {
            assert_eq!(admits(accept, JSON), takes, "{accept:?}");
        }
    }

    #[test]
    fn parameters_narrow_a_range_to_what_has_them() {
        let with = "text/plain; Version=\"0.0.4\"; charset=utf-8";
        for (accept, kind, takes) in [
            ("application/json;charset=UTF-8", JSON, true),
            ("application/json;charset=iso-8859-1", JSON, false),
            ("application/json;version=2", JSON, false),
            ("application/json;version=2;q=0, */*", JSON, true),
            ("application/json;;q=0.3;", JSON, true),
            ("text/plain;version=0.0.4", with, true),
            ("text/plain;version=\"0\\.0.4\"", with, true),
            ("text/plain;version=0.0.5", with, false),
            ("text/plain;version=0.0.4;q=0, text/plain", with, false),
            ("text/plain", with, true),
            ("text/html;a=\"x, application/json\"", JSON, false),
        ] {
            assert_eq!(admits(accept, kind), takes, "{accept:?}");
        }
    }

    #[test]
    fn a_malformed_list_takes_anything() {
        for accept in [
            "json",
            "application/",
            "/json",
            "*/json",
            "text/html, image/gif, *; q=.2",
            "text/html;q=2",
            "text/html;q=.2",
            "text/html;q=0.0001",
            "text/html;q=1.1",
            "text/html;q",
            "text/html;a=\"open",
            "text/html application/xml",
            "text/h\u{e4}ml",
        ] {
            assert!(admits(accept, JSON), "{accept:?}");
        }
    }

    #[test]
    fn reads_of_the_contracts_alone_are_judged_and_their_good_answers_alone_are_refused() {
        let mut headers = HeaderMap::new();
        let path = "/api/am/publisher/v4/apis";
        assert_eq!(asked(path, &Method::GET, &headers).as_deref(), Some(""));
        for accept in ["text/html;q=0.1", "text/*"] {
            headers.append(ACCEPT, accept.parse().unwrap());
        }
        let both = asked(path, &Method::HEAD, &headers);
        assert_eq!(both.as_deref(), Some("text/html;q=0.1,text/*"));
        assert_eq!(asked(path, &Method::POST, &headers), None);
        assert_eq!(asked("/livez", &Method::GET, &headers), None);
        let answer = |status: u16, kind: &'static str| {
            let code = StatusCode::from_u16(status).unwrap();
            let answer = unless_unwanted(
                both.as_deref(),
                (code, [(CONTENT_TYPE, kind)], "body").into_response(),
            );
            answer.status().as_u16()
        };
        assert_eq!(answer(200, JSON), 406);
        assert_eq!(answer(200, "text/plain"), 200);
        assert_eq!(answer(404, JSON), 404);
        let bare = unless_unwanted(both.as_deref(), StatusCode::NO_CONTENT.into_response());
        assert_eq!(bare.status(), 204);
    }
}
