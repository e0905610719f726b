//! The resources of one API as a tree of path segments, compiled once at deployment.
//!
//! The gateway's match phase asks it with what follows the context. The most literal template wins,
//! segment by segment from the left: literal, then mixed, then parameter, then `/*`; a template
//! without the wanted verb gives way to the next one that has it, as in Synapse. The tree lies flat
//! in one array: among 10,000 APIs nearly every place in memory that is touched is a cache miss.

mod build;
mod place;

use thiserror::Error;

use self::build::Builder;
use self::place::{Ends, Place};
use crate::template::{Part, Template, mixed_matches, open, split_segment};
use crate::verb::{Verb, VerbSet};

/// A compiled matcher.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The places, the root first; [`Place`] reads them.
    words: Box<[u32]>,
    /// What of the literals does not fit into their words.
    text: Box<[u8]>,
    /// The mixed segments.
    patterns: Box<[Box<[Part]>]>,
}

/// What a path and a verb led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The position of the operation in the list that was compiled.
    Found(usize),
    /// A template matches, but with other verbs: 405 with `Allow`.
    NotAllowed(VerbSet),
    /// No template matches: 404.
    NotFound,
}

/// Two operations that no request could tell apart.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{verb} {template} is the same resource as an operation before it")]
pub struct ResourceFault {
    /// The later operation's verb.
    pub verb: Verb,
    /// The later operation's template.
    pub template: String,
}

struct Search<'r> {
    resources: &'r Resources,
    verb: Verb,
    /// The verbs of the templates that match.
    allowed: VerbSet,
}

// === impl Resources ===

impl Resources {
    /// Compiles operations; [`Match::Found`] counts them in the order of the list.
    ///
    /// # Errors
    /// Two operations of one verb whose templates are equal but for parameter names.
    pub fn compile<'t>(
        operations: impl IntoIterator<Item = (&'t Template, Verb)>,
    ) -> Result<Self, ResourceFault> {
        let mut builder = Builder::new();
        for (position, (template, verb)) in operations.into_iter().enumerate() {
            builder.add(template, verb, position)?;
        }
        Ok(builder.finish())
    }

    /// The operation for what follows the context of a canonical path: empty, or with a slash in
    /// front. A slash at the end makes no difference, unless there are templates for both.
    pub fn find(&self, rest: &str, verb: Verb) -> Match {
        let mut search = Search {
            resources: self,
            verb,
            allowed: VerbSet::default(),
        };
        match search.at(0, open(rest)) {
            Some(position) => Match::Found(usize::try_from(position).unwrap_or(usize::MAX)),
            None if search.allowed.is_empty() => Match::NotFound,
            None => Match::NotAllowed(search.allowed),
        }
    }

    /// Every verb that some template offers for a path: for preflights.
    pub fn verbs(&self, rest: &str) -> VerbSet {
        let offered = |verb: &Verb| matches!(self.find(rest, *verb), Match::Found(_));
        Verb::ALL.into_iter().filter(offered).collect()
    }
}

// === impl Search ===

impl Search<'_> {
    /// Visits each place at most once: a place has one way from the root. The depth is bounded by
    /// `template::MAX_SEGMENTS`.
    fn at(&mut self, at: u32, rest: Option<&str>) -> Option<u32> {
        let resources = self.resources;
        let place = Place::at(&resources.words, at)?;
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            let (first, second) = match rest {
                None => (place.exact, place.slash),
                Some(_) => (place.slash, place.exact),
            };
            return self
                .end(first)
                .or_else(|| self.end(second))
                .or_else(|| self.end(place.wildcard));
        };
        let (segment, next) = split_segment(rest);
        let literal = place.literal(segment, &resources.text);
        if let Some(found) = literal.and_then(|child| self.at(child, next)) {
            return Some(found);
        }
        for [pattern, child] in place.patterns {
            if let Some(parts) = resources.patterns.get(*pattern as usize)
                && mixed_matches(parts, segment, &mut |_, _| {})
                && let Some(found) = self.at(*child, next)
            {
                return Some(found);
            }
        }
        let parameter = place.parameter.filter(|_| !segment.is_empty());
        if let Some(found) = parameter.and_then(|child| self.at(child.get(), next)) {
            return Some(found);
        }
        self.end(place.wildcard)
    }

    fn end(&mut self, operations: Ends<'_>) -> Option<u32> {
        for (verb, position) in operations.iter() {
            if verb == self.verb {
                return Some(position);
            }
            self.allowed.insert(verb);
        }
        None
    }
}
