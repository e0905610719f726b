//! Path templates of resources, as WSO2 writes them: `/pets/{petId}`, `/v1/{name}:cancel`,
//! `/files/*`.
//!
//! The publisher parses them from operations and uploaded definitions; `route_table::Resources`
//! compiles them for the gateway. Literals are kept in the canonical form of `path`, so a template
//! is compared with canonical request paths byte by byte.

mod segment;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

pub use segment::{Part, Segment};
pub(crate) use segment::{mixed_matches, split_segment};

use crate::path::PathFault;

/// The longest template, in bytes.
pub const MAX_BYTES: usize = 2048;

/// The most segments that a template may have; it also bounds the depth of a compiled matcher.
pub const MAX_SEGMENTS: usize = 64;

/// A parsed path template. Equality is by text; see [`Template::normal`] for what is a duplicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
    tail: Tail,
}

/// How a template ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With its last segment.
    Exact,
    /// With a slash behind the last segment.
    Slash,
    /// With `/*`: whatever follows, nothing included.
    Wildcard,
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateFault {
    /// It does not begin with `/`.
    #[error("a path template must begin with /")]
    NoLeadingSlash,
    /// More than [`MAX_BYTES`] bytes or [`MAX_SEGMENTS`] segments.
    #[error("a path template may have {MAX_BYTES} bytes and {MAX_SEGMENTS} segments at most")]
    TooLong,
    /// `{` without `}`, `}` without `{`, or one inside the other.
    #[error("the path template has unbalanced braces")]
    Unbalanced,
    /// `{}`.
    #[error("the path template has a parameter without a name")]
    EmptyParameter,
    /// A `*` that is not the whole last segment.
    #[error("* may only be the whole last segment of a path template")]
    MisplacedWildcard,
    /// A literal that no request path can have.
    #[error("no request can match the path template: {0}")]
    Literal(#[from] PathFault),
}

// === impl Template ===

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// A [`TemplateFault`] that names the first thing wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let body = text
            .strip_prefix('/')
            .ok_or(TemplateFault::NoLeadingSlash)?;
        if text.len() > MAX_BYTES {
            return Err(TemplateFault::TooLong);
        }
        let (body, tail) = match body {
            "" => (None, Tail::Exact),
            "*" => (None, Tail::Wildcard),
            _ => match (body.strip_suffix("/*"), body.strip_suffix('/')) {
                (Some(before), _) => (Some(before), Tail::Wildcard),
                (None, Some(before)) => (Some(before), Tail::Slash),
                (None, None) => (Some(body), Tail::Exact),
            },
        };
        let segments = body.into_iter().flat_map(|body| body.split('/'));
        let segments = segments
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err(TemplateFault::TooLong);
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
            tail,
        })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments, without the wildcard.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How it ends.
    pub const fn tail(&self) -> Tail {
        self.tail
    }

    /// The names of its parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().flat_map(Segment::parameters)
    }

    /// The form in which duplicates are equal: parameters without their names (OpenAPI: templates
    /// that differ only in parameter names are identical), literals in canonical spelling.
    pub fn normal(&self) -> String {
        let mut normal = String::with_capacity(self.text.len());
        for segment in &self.segments {
            normal.push('/');
            segment.write_normal(&mut normal);
        }
        match self.tail {
            Tail::Exact if self.segments.is_empty() => normal.push('/'),
            Tail::Exact => {}
            Tail::Slash => normal.push('/'),
            Tail::Wildcard => normal.push_str("/*"),
        }
        normal
    }

    /// The values of the parameters when a canonical path matches, in the order of
    /// [`Self::parameters`]; `None` when it does not. A slash at the end of the path or of the
    /// template makes no difference.
    pub fn captures<'p>(&self, path: &'p str) -> Option<Vec<(&str, &'p str)>> {
        let mut found = Vec::new();
        let mut rest = open(path);
        for segment in &self.segments {
            let (text, next) = split_segment(rest?);
            if !segment.matches(text, &mut |name, value| found.push((name, value))) {
                return None;
            }
            rest = next;
        }
        let ends = matches!(rest, None | Some(""));
        (ends || self.tail == Tail::Wildcard).then_some(found)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is left to match of a path: `None` when it has no segment.
pub(crate) fn open(path: &str) -> Option<&str> {
    path.strip_prefix('/').filter(|rest| !rest.is_empty())
}
