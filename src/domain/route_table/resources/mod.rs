//! The resources of one API as a tree of path segments, compiled once at deployment.
//!
//! The gateway's match phase asks it with what follows the context. The most literal template wins,
//! segment by segment from the left: literal, then mixed, then parameter, then `/*`; a template
//! without the wanted verb gives way to the next one that has it, as in Synapse. The tree lies flat
//! in a few arrays: among 10,000 APIs nearly every array that is touched is a cache miss.

mod build;

use thiserror::Error;

use self::build::Builder;
use crate::template::{Part, Template, mixed_matches, open, split_segment};
use crate::verb::{Verb, VerbSet};

/// Up to this many literals of a place are searched one by one.
const FEW: usize = 8;

/// A compiled matcher.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The first is the root.
    nodes: Box<[Node]>,
    edges: Box<[Edge]>,
    /// The literals, one behind the other.
    text: Box<[u8]>,
    mixed: Box<[Pattern]>,
    /// Verbs with the positions of their operations.
    ends: Box<[(Verb, u32)]>,
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

/// A place in the tree: the segments so far, what may follow and what may end here.
#[derive(Clone, Debug)]
struct Node {
    /// Edges, sorted by text.
    literals: Span,
    /// Patterns, the most literal first.
    mixed: Span,
    parameter: Option<u32>,
    exact: Span,
    slash: Span,
    wildcard: Span,
}

/// A literal segment and where it leads.
#[derive(Clone, Debug)]
struct Edge {
    text: Span,
    child: u32,
}

/// A mixed segment and where it leads.
#[derive(Clone, Debug)]
struct Pattern {
    parts: Box<[Part]>,
    child: u32,
}

/// A part of an array.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    length: u32,
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

    /// Where a literal segment leads.
    fn literal(&self, node: &Node, segment: &str) -> Option<u32> {
        let edges = node.literals.of(&self.edges);
        let wanted = segment.as_bytes();
        let found = if edges.len() <= FEW {
            let fits = |edge: &&Edge| edge.text.len() == wanted.len();
            edges
                .iter()
                .filter(fits)
                .find(|edge| edge.text.of(&self.text) == wanted)
        } else {
            let found = edges.binary_search_by(|edge| edge.text.of(&self.text).cmp(wanted));
            found.ok().and_then(|at| edges.get(at))
        };
        found.map(|edge| edge.child)
    }
}

// === impl Search ===

impl Search<'_> {
    /// Visits each node at most once: a node has one way from the root. The depth is bounded by
    /// `template::MAX_SEGMENTS`.
    fn at(&mut self, at: u32, rest: Option<&str>) -> Option<u32> {
        let resources = self.resources;
        let node = resources.nodes.get(usize::try_from(at).ok()?)?;
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            let (first, second) = match rest {
                None => (node.exact, node.slash),
                Some(_) => (node.slash, node.exact),
            };
            return self
                .end(first)
                .or_else(|| self.end(second))
                .or_else(|| self.end(node.wildcard));
        };
        let (segment, next) = split_segment(rest);
        let literal = resources.literal(node, segment);
        if let Some(found) = literal.and_then(|child| self.at(child, next)) {
            return Some(found);
        }
        for pattern in node.mixed.of(&resources.mixed) {
            if mixed_matches(&pattern.parts, segment, &mut |_, _| {})
                && let Some(found) = self.at(pattern.child, next)
            {
                return Some(found);
            }
        }
        let parameter = node.parameter.filter(|_| !segment.is_empty());
        if let Some(found) = parameter.and_then(|child| self.at(child, next)) {
            return Some(found);
        }
        self.end(node.wildcard)
    }

    fn end(&mut self, operations: Span) -> Option<u32> {
        for (verb, position) in operations.of(&self.resources.ends) {
            if *verb == self.verb {
                return Some(*position);
            }
            self.allowed.insert(*verb);
        }
        None
    }
}

// === impl Span ===

impl Span {
    const fn len(self) -> usize {
        self.length as usize
    }

    fn of<T>(self, all: &[T]) -> &[T] {
        let start = self.start as usize;
        all.get(start..start.saturating_add(self.len()))
            .unwrap_or_default()
    }
}
