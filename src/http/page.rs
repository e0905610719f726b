//! Paging of lists: `limit`, `offset` and the `pagination` block of WSO2's answers.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::query::Query;

/// Rows of a page when the caller names no number.
const DEFAULT_LIMIT: usize = 25;
/// The most rows of a page.
const LIMIT: usize = 1_000;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Most rows.
    pub limit: usize,
    /// Rows passed over.
    pub offset: usize,
}

#[derive(Deserialize)]
struct Raw {
    limit: Option<String>,
    offset: Option<String>,
}

/// A list's own path with those of its parameters that were given, as [`Page::answer`] takes it.
pub(crate) fn listed_at(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut link = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            link.append_pair(name, value);
        }
    }
    let link = link.finish();
    if link.ends_with('?') {
        link
    } else {
        format!("{link}&")
    }
}

// === impl Page ===

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(raw) = Query::<Raw>::from_request_parts(parts, state).await?;
        let number = |name: &str, text: Option<String>, otherwise: usize| match text {
            None => Ok(otherwise),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| ApiError::bad_field(name, "must be a whole number of 0 or more")),
        };
        Ok(Self {
            limit: number("limit", raw.limit, DEFAULT_LIMIT)?.min(LIMIT),
            offset: number("offset", raw.offset, 0)?,
        })
    }
}

impl Page {
    /// A list answer: `{count, list, pagination}`. `path` is the list's own path with its other
    /// query parameters, ending where `limit` may be appended (`?` or `&` included).
    #[must_use]
    pub fn answer(self, list: &[Value], total: usize, path: &str) -> Value {
        let link = |offset: usize| format!("{path}limit={}&offset={offset}", self.limit);
        let next = (self.limit > 0 && self.offset.saturating_add(list.len()) < total)
            .then(|| link(self.offset.saturating_add(self.limit)));
        let previous = (self.limit > 0 && self.offset > 0)
            .then(|| link(self.offset.saturating_sub(self.limit)));
        json!({
            "count": list.len(),
            "list": list,
            "pagination": {
                "offset": self.offset,
                "limit": self.limit,
                "total": total,
                "next": next.unwrap_or_default(),
                "previous": previous.unwrap_or_default(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_parameters_that_were_given_and_room_for_more() {
        assert_eq!(listed_at("/apis", &[("query", None)]), "/apis?");
        let given = [
            ("query", Some("name:a b&c")),
            ("sortBy", Some("")),
            ("x", Some("1")),
        ];
        assert_eq!(
            listed_at("/apis", &given),
            "/apis?query=name%3Aa+b%26c&x=1&"
        );
    }
}
