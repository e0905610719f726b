//! Reading JSON bodies: bounded, and with errors that name the faulty member.
//!
//! [`Fields`] walks an object member by member; what a handler does not take is what it stores
//! and gives back as it came.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::operation::Operation;
use crate::timed_body;

/// The most bytes of a JSON body, unless its operation says otherwise.
pub const JSON_LIMIT: usize = 1024 * 1024;
/// The most bytes of an API as JSON: an imported one may have thousands of operations.
pub const API_LIMIT: usize = 4 * 1024 * 1024;
/// The most bytes of an uploaded definition (DESIGN §8), form overhead not counted.
pub const DEFINITION_LIMIT: usize = 10 * 1024 * 1024;

/// What a refusal calls the body as a whole.
pub(crate) const WHOLE: &str = "body";

/// The most bytes that are read and dropped of a body that exceeds its limit.
const DRAINED: usize = 64 * 1024 * 1024;
/// The longest that this may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON object from a request body.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    members: Map<String, Value>,
    /// Where it stands in the body, with a dot at its end; empty for the body itself.
    path: String,
}

/// A body as far as it was read.
#[derive(Debug)]
pub enum Received {
    /// All of it.
    Whole(Bytes),
    /// What there was within the limit, of a body that exceeds it.
    Exceeding(Bytes),
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// 413 beyond the limit, 408 when the body comes too slowly, 400 when it ends early.
pub async fn read(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    match receive(request, limit).await? {
        Received::Whole(bytes) => Ok(bytes),
        Received::Exceeding(_) => Err(ApiError::too_large(WHOLE, limit)),
    }
}

/// Reads a body up to `limit` bytes. Of a longer one the rest is read and dropped, as far as that is
/// bounded: whoever still sends does not listen, and would see a broken connection where the answer
/// says why.
///
/// # Errors
/// 408 when the body comes too slowly, 400 when it ends early.
pub async fn receive(request: Request, limit: usize) -> Result<Received, ApiError> {
    let mut body = request.into_body();
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let unread = |error: axum::Error| {
            if timed_body::is_late(&error) {
                return ApiError::late();
            }
            ApiError::bad_request("the body could not be read to its end")
        };
        let Ok(data) = frame.map_err(unread)?.into_data() else {
            continue;
        };
        let room = limit.saturating_sub(kept.len());
        if data.len() > room {
            kept.extend_from_slice(data.get(..room).unwrap_or_default());
            drain(body).await;
            return Ok(Received::Exceeding(kept.freeze()));
        }
        kept.extend_from_slice(&data);
    }
    Ok(Received::Whole(kept.freeze()))
}

/// Reads and drops the rest of a body, not for ever.
async fn drain(mut body: Body) {
    let rest = async {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}

/// Whether the body's media type is JSON or ends in `+json`.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || (kind.starts_with("application/") && kind.ends_with("+json"))
}

// === impl Fields ===

impl<S: Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::unsupported_media("application/json"));
        }
        let operation = request.extensions().get::<&'static Operation>();
        let limit = operation.map_or(JSON_LIMIT, |operation| operation.json_limit);
        Self::parse(&read(request, limit).await?)
    }
}

impl Fields {
    /// Reads a JSON object that may be left out: without a body it has no member.
    ///
    /// # Errors
    /// As where it may not, once there is a body.
    pub(crate) async fn optional(request: Request) -> Result<Self, ApiError> {
        if request.body().is_end_stream() && !request.headers().contains_key(CONTENT_TYPE) {
            return Ok(Self::from_map(Map::new()));
        }
        Self::from_request(request, &()).await
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// 400 with line and column when it is not JSON, or not an object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Self::from_map(members)),
            Ok(_) => Err(ApiError::bad_request("the body must be a JSON object")),
            Err(error) => Err(ApiError::bad_request(format!(
                "the body is not JSON: {error}"
            ))),
        }
    }

    /// An object that is a member of another one.
    #[must_use]
    pub const fn from_map(members: Map<String, Value>) -> Self {
        Self {
            members,
            path: String::new(),
        }
    }

    /// The same, standing at `path` in the body, such as `groups[1]`: errors name members from
    /// there.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.path = format!("{path}.");
        self
    }

    /// The refusal of a member, by its whole path.
    pub(crate) fn bad(&self, name: &str, problem: impl Into<String>) -> ApiError {
        ApiError::bad_field(&format!("{}{name}", self.path), problem)
    }

    /// The refusal of this object itself, by its whole path.
    pub(crate) fn bad_itself(&self, problem: impl Into<String>) -> ApiError {
        let path = self.path.strip_suffix('.').unwrap_or(WHOLE);
        ApiError::bad_field(path, problem)
    }

    /// What has not been taken, and may yet be.
    pub(crate) const fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// What has not been taken.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.members
    }

    /// Puts a member in, in place of what is there.
    pub fn put(&mut self, name: &str, value: Value) {
        self.members.insert(name.to_owned(), value);
    }

    /// Puts a member in unless it is there.
    pub fn put_missing(&mut self, name: &str, value: Value) {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.put(name, value);
        }
    }

    /// Takes a member out; `null` counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text of at most `most` characters, if it is there.
    ///
    /// # Errors
    /// 400 naming the member when it is no text or too long.
    pub fn text(&mut self, name: &str, most: usize) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => {
                Err(self.bad(name, "must not contain NUL"))
            }
            Some(Value::String(text)) if text.chars().count() <= most => Ok(Some(text)),
            Some(Value::String(_)) => {
                Err(self.bad(name, format!("must not exceed {most} characters")))
            }
            Some(_) => Err(self.bad(name, "must be a string")),
        }
    }

    /// Takes a text that must be there and not be empty.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn required_text(&mut self, name: &str, most: usize) -> Result<String, ApiError> {
        match self.text(name, most)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(self.bad(name, "must not be empty")),
            None => Err(self.bad(name, "is required")),
        }
    }

    /// Takes a truth value, if it is there.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.bad(name, "must be true or false")),
        }
    }

    /// Takes a whole number, if it is there.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn number(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.bad(name, "must be a whole number")),
            },
        }
    }

    /// Takes a list of texts, if it is there.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn texts(&mut self, name: &str, most: usize) -> Result<Option<Vec<String>>, ApiError> {
        let Some(list) = self.list(name)? else {
            return Ok(None);
        };
        let texts = list.into_iter().map(|item| match item {
            Value::String(text) if text.contains('\0') => {
                Err(self.bad(name, "must not contain NUL"))
            }
            Value::String(text) if text.chars().count() <= most => Ok(text),
            _ => Err(self.bad(
                name,
                format!("must be a list of strings of at most {most} characters"),
            )),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Takes a list, if it is there.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.bad(name, "must be a list")),
        }
    }

    /// Takes a text that is one of `words`, if it is there.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn word(&mut self, name: &str, words: &[&str]) -> Result<Option<String>, ApiError> {
        let longest = words.iter().map(|word| word.len()).max().unwrap_or(0);
        match self.text(name, longest.max(60))? {
            Some(word) if !words.contains(&word.as_str()) => {
                Err(self.bad(name, format!("must be {}", words.join(" or "))))
            }
            word => Ok(word),
        }
    }

    /// Takes a list of objects, if it is there; each names its members from its place on.
    ///
    /// # Errors
    /// 400 naming the member, or the place of what is no object.
    pub fn items(&mut self, name: &str) -> Result<Vec<Self>, ApiError> {
        let listed = self.list(name)?.unwrap_or_default();
        let items = listed.into_iter().enumerate();
        let items = items.map(|(index, item)| match item {
            Value::Object(members) => Ok(Self {
                members,
                path: format!("{}{name}[{index}].", self.path),
            }),
            _ => Err(self.bad(&format!("{name}[{index}]"), "must be an object")),
        });
        items.collect()
    }

    /// The names of the members that have not been taken.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Refuses members that would be dropped, for `problem`; `null` counts as absent.
    ///
    /// # Errors
    /// 400 naming the first that is there.
    pub fn without(&mut self, names: &[&str], problem: &str) -> Result<(), ApiError> {
        match names.iter().find(|name| self.take(name).is_some()) {
            Some(name) => Err(self.bad(name, problem)),
            None => Ok(()),
        }
    }

    /// Takes an object, if it is there.
    ///
    /// # Errors
    /// 400 naming the member.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => {
                let path = format!("{}{name}.", self.path);
                Ok(Some(Self { members, path }))
            }
            Some(_) => Err(self.bad(name, "must be an object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_members_from_the_body_on() {
        let body = json!({"a": {"b": {"c": 5}, "d": []}});
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let mut inner = fields.object("a").unwrap().unwrap();
        let error = inner.text("d", 1).unwrap_err();
        assert_eq!(error.description(), "a.d: must be a string");
        let mut deep = inner.object("b").unwrap().unwrap();
        let error = deep.required_text("c", 1).unwrap_err();
        assert_eq!(error.description(), "a.b.c: must be a string");
        let mut listed = Fields::from_map(Map::new()).at("e[3]");
        let error = listed.required_text("f", 1).unwrap_err();
        assert_eq!(error.description(), "e[3].f: is required");
    }
}
