//! Query parameters of the management APIs: what cannot be read is refused with the error body. A
//! handler reads what its [`Operation`] declares, so that tests know of each parameter.

use std::cell::Cell;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserializer;
use serde::de::value::Error;
use serde::de::{DeserializeOwned, Error as _, Visitor};

use crate::error::ApiError;
use crate::operation::Operation;

/// The parameters of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let operation = parts.extensions.get::<&'static Operation>();
        if cfg!(debug_assertions)
            && let Some(operation) = operation
            && let Some(name) = undeclared::<T>(operation)
        {
            return Err(ApiError::internal(&format!("{name} is not declared")));
        }
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(read)| Self(read))
            .map_err(|error| ApiError::bad_request(error.body_text()))
    }
}

/// A member of `T` that the operation does not declare.
fn undeclared<T: DeserializeOwned>(operation: &Operation) -> Option<&'static str> {
    let names = Cell::new(&[][..]);
    // Ends as soon as the names are known.
    let _ = T::deserialize(Members(&names));
    let mut names = names.get().iter().copied();
    names.find(|name| !operation.query.contains(name))
}

/// Notes which members are read, and gives none.
struct Members<'n>(&'n Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Members<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("only names are asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.set(members);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;
    use crate::operation::{Access, BodyKind};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Asked {
        api_id: Option<String>,
        #[serde(default)]
        limit: String,
    }

    #[tokio::test]
    async fn a_parameter_that_is_read_must_be_declared() {
        static BOTH: Operation =
            Operation::new("GET", "/a", Access::Own, BodyKind::Empty).query(&["limit", "apiId"]);
        static ONE: Operation =
            Operation::new("GET", "/a", Access::Own, BodyKind::Empty).query(&["limit"]);
        for (operation, is_read) in [(&BOTH, true), (&ONE, false)] {
            let request = Request::get("/a?apiId=5&limit=9").extension(operation);
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let read = Query::<Asked>::from_request_parts(&mut parts, &()).await;
            let read = read.map(|Query(asked)| (asked.api_id, asked.limit));
            let wanted = is_read.then(|| (Some("5".to_owned()), "9".to_owned()));
            assert_eq!(read.ok(), wanted);
        }
    }
}
