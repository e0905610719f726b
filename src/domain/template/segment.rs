//! One segment of a path template: a literal, a parameter, or both mixed (`{name}:cancel`).
//!
//! `Template` parses and matches with it, `route_table::Resources` compiles it into its tree.

use super::TemplateFault;
use crate::path::{PathFault, canonical_piece};

/// A segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Text in canonical spelling.
    Literal(String),
    /// A whole segment that is a parameter; matches any text but the empty one.
    Parameter(String),
    /// Literals and parameters side by side.
    Mixed(Vec<Part>),
}

/// A part of a mixed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text in canonical spelling.
    Literal(String),
    /// The name of a parameter; matches one character at least.
    Parameter(String),
}

// === impl Segment ===

impl Segment {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateFault> {
        match text {
            "" => return Err(PathFault::EmptySegment.into()),
            "." | ".." => return Err(PathFault::DotSegment.into()),
            _ => {}
        }
        let mut parts = Part::parse_all(text)?;
        let segment = match (parts.pop(), parts.is_empty()) {
            (Some(Part::Literal(literal)), true) => Self::literal(literal)?,
            (Some(Part::Parameter(name)), true) => Self::Parameter(name),
            (Some(last), false) => {
                parts.push(last);
                Self::Mixed(parts)
            }
            (None, _) => return Err(PathFault::EmptySegment.into()),
        };
        Ok(segment)
    }

    fn literal(text: String) -> Result<Self, TemplateFault> {
        match text.as_str() {
            "." | ".." => Err(PathFault::DotSegment.into()), // written %2e
            _ => Ok(Self::Literal(text)),
        }
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        let (whole, parts) = match self {
            Self::Literal(_) => (None, None),
            Self::Parameter(name) => (Some(name.as_str()), None),
            Self::Mixed(parts) => (None, Some(parts)),
        };
        let mixed = parts.into_iter().flatten().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        });
        whole.into_iter().chain(mixed)
    }

    pub(super) fn write_normal(&self, out: &mut String) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Parameter(_) => out.push_str("{}"),
            Self::Mixed(parts) => {
                for part in parts {
                    match part {
                        Part::Literal(text) => out.push_str(text),
                        Part::Parameter(_) => out.push_str("{}"),
                    }
                }
            }
        }
    }

    /// Whether a segment of a path matches; each parameter is reported with its value.
    pub(super) fn matches<'t, 'p>(
        &'t self,
        text: &'p str,
        found: &mut dyn FnMut(&'t str, &'p str),
    ) -> bool {
        match self {
            Self::Literal(literal) => literal == text,
            Self::Parameter(_) if text.is_empty() => false,
            Self::Parameter(name) => {
                found(name, text);
                true
            }
            Self::Mixed(parts) => mixed_matches(parts, text, found),
        }
    }
}

// === impl Part ===

impl Part {
    fn parse_all(text: &str) -> Result<Vec<Self>, TemplateFault> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, parameter) = match rest.split_once('{') {
                Some((literal, after)) => (literal, Some(after)),
                None => (rest, None),
            };
            if literal.contains('}') {
                return Err(TemplateFault::Unbalanced);
            }
            if literal.contains('*') {
                return Err(TemplateFault::MisplacedWildcard);
            }
            if !literal.is_empty() {
                parts.push(Self::Literal(canonical_piece(literal)?.into_owned()));
            }
            let Some(parameter) = parameter else { break };
            let (name, after) = parameter.split_once('}').ok_or(TemplateFault::Unbalanced)?;
            match name {
                "" => return Err(TemplateFault::EmptyParameter),
                _ if name.contains('{') => return Err(TemplateFault::Unbalanced),
                _ if name.chars().any(char::is_control) => return Err(PathFault::Control.into()),
                _ => parts.push(Self::Parameter(name.to_owned())),
            }
            rest = after;
        }
        Ok(parts)
    }
}

/// The first segment of what is left of a path, and what is left then; `Some("")` is a slash at
/// the end.
pub(crate) fn split_segment(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((segment, next)) => (segment, Some(next)),
        None => (rest, None),
    }
}

/// Matches parts from left to right in linear time: a literal in the middle is taken at its first
/// place that leaves a character for each parameter before it, the last one at the end.
pub(crate) fn mixed_matches<'t, 'p>(
    parts: &'t [Part],
    text: &'p str,
    found: &mut dyn FnMut(&'t str, &'p str),
) -> bool {
    let mut rest = text;
    let mut open: Vec<&'t str> = Vec::new();
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        let literal = match part {
            Part::Parameter(name) => {
                open.push(name);
                continue;
            }
            Part::Literal(literal) => literal.as_str(),
        };
        let Some(least) = char_offset(rest, open.len()) else {
            return false;
        };
        let at = if parts.peek().is_none() {
            rest.len()
                .checked_sub(literal.len())
                .filter(|_| rest.ends_with(literal))
        } else if open.is_empty() {
            rest.starts_with(literal).then_some(0)
        } else {
            rest.get(least..)
                .and_then(|tail| tail.find(literal))
                .map(|at| at + least)
        };
        let Some((value, after)) = at
            .filter(|at| *at >= least)
            .and_then(|at| rest.split_at_checked(at))
        else {
            return false;
        };
        if open.is_empty() && !value.is_empty() {
            return false;
        }
        assign(&mut open, value, found);
        rest = after.strip_prefix(literal).unwrap_or_default();
    }
    if open.is_empty() {
        return rest.is_empty();
    }
    if char_offset(rest, open.len()).is_none() {
        return false;
    }
    assign(&mut open, rest, found);
    true
}

/// Gives each open parameter one character and the last one what is left.
fn assign<'t, 'p>(
    open: &mut Vec<&'t str>,
    value: &'p str,
    found: &mut dyn FnMut(&'t str, &'p str),
) {
    let mut rest = value;
    let last = open.len().saturating_sub(1);
    for (position, name) in open.drain(..).enumerate() {
        let cut = if position < last {
            char_offset(rest, 1).unwrap_or(0)
        } else {
            rest.len()
        };
        let (own, after) = rest.split_at_checked(cut).unwrap_or((rest, ""));
        found(name, own);
        rest = after;
    }
}

/// The offset behind the first `count` characters; `None` when there are fewer.
fn char_offset(text: &str, count: usize) -> Option<usize> {
    if count == 0 {
        return Some(0);
    }
    text.char_indices()
        .nth(count - 1)
        .map(|(at, char)| at + char.len_utf8())
}
