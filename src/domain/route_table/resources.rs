//! The resources of one API as a tree of path segments, compiled once at deployment.
//!
//! The gateway's match phase asks it with what follows the context. The most literal template wins,
//! segment by segment from the left: literal, then mixed, then parameter, then `/*`; a template
//! without the wanted verb gives way to the next one that has it, as in Synapse.

use thiserror::Error;

use crate::template::{Part, Segment, Tail, Template, mixed_matches, open, split_segment};
use crate::verb::{Verb, VerbSet};

/// A compiled matcher.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    nodes: Vec<Node>,
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

/// A place in the tree: the segments so far.
#[derive(Clone, Debug, Default)]
struct Node {
    /// By text, sorted.
    literals: Vec<(String, usize)>,
    /// The most literal first.
    mixed: Vec<(Vec<Part>, usize)>,
    parameter: Option<usize>,
    exact: Operations,
    slash: Operations,
    wildcard: Operations,
}

/// The operations that end at a place in one way.
#[derive(Clone, Debug, Default)]
struct Operations(Vec<(Verb, usize)>);

struct Search<'r> {
    nodes: &'r [Node],
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
        let mut resources = Self {
            nodes: vec![Node::default()],
        };
        for (position, (template, verb)) in operations.into_iter().enumerate() {
            let at = template
                .segments()
                .iter()
                .fold(0, |at, segment| resources.child(at, segment));
            let added = resources.nodes.get_mut(at).is_some_and(|node| {
                let operations = match template.tail() {
                    Tail::Exact => &mut node.exact,
                    Tail::Slash => &mut node.slash,
                    Tail::Wildcard => &mut node.wildcard,
                };
                operations.add(verb, position)
            });
            if !added {
                return Err(ResourceFault {
                    verb,
                    template: template.as_str().to_owned(),
                });
            }
        }
        Ok(resources)
    }

    /// The operation for what follows the context of a canonical path: empty, or with a slash in
    /// front. A slash at the end makes no difference, unless there are templates for both.
    pub fn find(&self, rest: &str, verb: Verb) -> Match {
        let mut search = Search {
            nodes: &self.nodes,
            verb,
            allowed: VerbSet::default(),
        };
        match search.at(0, open(rest)) {
            Some(position) => Match::Found(position),
            None if search.allowed.is_empty() => Match::NotFound,
            None => Match::NotAllowed(search.allowed),
        }
    }

    /// Every verb that some template offers for a path: for preflights.
    pub fn verbs(&self, rest: &str) -> VerbSet {
        let offered = |verb: &Verb| matches!(self.find(rest, *verb), Match::Found(_));
        Verb::ALL.into_iter().filter(offered).collect()
    }

    /// The child of a node for a segment, made when it is not there.
    fn child(&mut self, at: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else {
            return at;
        };
        let child = match segment {
            Segment::Literal(text) => {
                match node
                    .literals
                    .binary_search_by(|(known, _)| known.as_str().cmp(text))
                {
                    Ok(found) => node.literals.get(found).map_or(new, |(_, child)| *child),
                    Err(place) => {
                        node.literals.insert(place, (text.clone(), new));
                        new
                    }
                }
            }
            Segment::Parameter(_) => *node.parameter.get_or_insert(new),
            Segment::Mixed(parts) => {
                match node.mixed.iter().find(|(known, _)| same(known, parts)) {
                    Some((_, child)) => *child,
                    None => {
                        let own = literalness(parts);
                        let place = node
                            .mixed
                            .partition_point(|(known, _)| literalness(known) >= own);
                        node.mixed.insert(place, (parts.clone(), new));
                        new
                    }
                }
            }
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }
}

// === impl Search ===

impl Search<'_> {
    /// Visits each node at most once: a node has one way from the root. The depth is bounded by
    /// `template::MAX_SEGMENTS`.
    fn at(&mut self, at: usize, rest: Option<&str>) -> Option<usize> {
        let node = self.nodes.get(at)?;
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            let (first, second) = match rest {
                None => (&node.exact, &node.slash),
                Some(_) => (&node.slash, &node.exact),
            };
            return self
                .end(first)
                .or_else(|| self.end(second))
                .or_else(|| self.end(&node.wildcard));
        };
        let (segment, next) = split_segment(rest);
        let literal = node
            .literals
            .binary_search_by(|(text, _)| text.as_str().cmp(segment));
        let literal = literal.ok().and_then(|found| node.literals.get(found));
        if let Some(found) = literal.and_then(|(_, child)| self.at(*child, next)) {
            return Some(found);
        }
        for (parts, child) in &node.mixed {
            if mixed_matches(parts, segment, &mut |_, _| {})
                && let Some(found) = self.at(*child, next)
            {
                return Some(found);
            }
        }
        let parameter = node.parameter.filter(|_| !segment.is_empty());
        if let Some(found) = parameter.and_then(|child| self.at(child, next)) {
            return Some(found);
        }
        self.end(&node.wildcard)
    }

    fn end(&mut self, operations: &Operations) -> Option<usize> {
        for (verb, position) in &operations.0 {
            if *verb == self.verb {
                return Some(*position);
            }
            self.allowed.insert(*verb);
        }
        None
    }
}

// === impl Operations ===

impl Operations {
    fn add(&mut self, verb: Verb, position: usize) -> bool {
        let new = self.0.iter().all(|(known, _)| *known != verb);
        if new {
            self.0.push((verb, position));
        }
        new
    }
}

/// Whether two mixed segments match the same texts.
fn same(one: &[Part], other: &[Part]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|parts| match parts {
            (Part::Literal(one), Part::Literal(other)) => one == other,
            (Part::Parameter(_), Part::Parameter(_)) => true,
            _ => false,
        })
}

/// How literal a mixed segment is: more literal text first, then fewer parameters.
fn literalness(parts: &[Part]) -> (usize, std::cmp::Reverse<usize>) {
    let literal = parts.iter().map(|part| match part {
        Part::Literal(text) => text.len(),
        Part::Parameter(_) => 0,
    });
    (literal.sum(), std::cmp::Reverse(parts.len()))
}
