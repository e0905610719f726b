//! The tree of segments while it grows; then it is laid out flat.
//!
//! `Resources::compile` alone uses it.

use super::place::{Draft, number, order};
use super::{ResourceFault, Resources};
use crate::template::{Part, Segment, Tail, Template};
use crate::verb::Verb;

/// A growing tree; the first place is the root.
pub(super) struct Builder {
    places: Vec<Branch>,
}

/// The segments so far.
#[derive(Default)]
struct Branch {
    /// In the order of [`order`].
    literals: Vec<(String, u32)>,
    /// The most literal first.
    mixed: Vec<Pattern>,
    parameter: Option<u32>,
    exact: Operations,
    slash: Operations,
    wildcard: Operations,
}

/// A mixed segment and where it leads.
struct Pattern {
    parts: Box<[Part]>,
    child: u32,
}

/// The operations that end at a place in one way, with their positions in the list.
#[derive(Default)]
struct Operations(Vec<(Verb, u32)>);

// === impl Builder ===

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            places: vec![Branch::default()],
        }
    }

    /// Adds an operation.
    pub(super) fn add(
        &mut self,
        template: &Template,
        verb: Verb,
        position: usize,
    ) -> Result<(), ResourceFault> {
        let segments = template.segments().iter();
        let at = segments.fold(0, |at, segment| self.child(at, segment));
        let position = number(position);
        let added = self.place(at).is_some_and(|place| {
            let operations = match template.tail() {
                Tail::Exact => &mut place.exact,
                Tail::Slash => &mut place.slash,
                Tail::Wildcard => &mut place.wildcard,
            };
            operations.add(verb, position)
        });
        if added {
            return Ok(());
        }
        Err(ResourceFault {
            verb,
            template: template.as_str().to_owned(),
        })
    }

    /// Lays the tree out: what one place needs lies together.
    pub(super) fn finish(self) -> Resources {
        let mut patterns = Vec::new();
        let drafts: Vec<Draft> = self
            .places
            .into_iter()
            .map(|place| place.draft(&mut patterns))
            .collect();
        let offsets: Vec<u32> = drafts
            .iter()
            .scan(0_u32, |next, draft| {
                let own = *next;
                *next = next.saturating_add(draft.words());
                Some(own)
            })
            .collect();
        let offset = |place: u32| offsets.get(place as usize).copied().unwrap_or_default();
        let (mut words, mut text) = (Vec::new(), Vec::new());
        for draft in drafts {
            draft.write(&mut words, &mut text, offset);
        }
        Resources {
            words: words.into(),
            text: text.into(),
            patterns: patterns.into(),
        }
    }

    /// The place behind another for a segment, made when it is not there.
    fn child(&mut self, at: u32, segment: &Segment) -> u32 {
        let new = number(self.places.len());
        let Some(place) = self.place(at) else {
            return at;
        };
        let child = match segment {
            Segment::Literal(text) => place.literal(text, new),
            Segment::Parameter(_) => *place.parameter.get_or_insert(new),
            Segment::Mixed(parts) => place.mixed(parts, new),
        };
        if child == new {
            self.places.push(Branch::default());
        }
        child
    }

    fn place(&mut self, at: u32) -> Option<&mut Branch> {
        self.places.get_mut(usize::try_from(at).ok()?)
    }
}

// === impl Branch ===

impl Branch {
    /// As it will be written down; its patterns join those of the others.
    fn draft(self, patterns: &mut Vec<Box<[Part]>>) -> Draft {
        let own = self.mixed.into_iter().map(|Pattern { parts, child }| {
            patterns.push(parts);
            [number(patterns.len() - 1), child]
        });
        Draft {
            patterns: own.collect(),
            literals: self.literals,
            parameter: self.parameter.unwrap_or_default(),
            exact: self.exact.0,
            slash: self.slash.0,
            wildcard: self.wildcard.0,
        }
    }

    fn literal(&mut self, text: &str, new: u32) -> u32 {
        let found = self
            .literals
            .binary_search_by(|(known, _)| order(known, text));
        match found {
            Ok(at) => self.literals.get(at).map_or(new, |(_, child)| *child),
            Err(at) => {
                self.literals.insert(at, (text.to_owned(), new));
                new
            }
        }
    }

    fn mixed(&mut self, parts: &[Part], new: u32) -> u32 {
        if let Some(known) = self.mixed.iter().find(|known| same(&known.parts, parts)) {
            return known.child;
        }
        let own = literalness(parts);
        let at = self
            .mixed
            .partition_point(|known| literalness(&known.parts) >= own);
        self.mixed.insert(
            at,
            Pattern {
                parts: parts.into(),
                child: new,
            },
        );
        new
    }
}

// === impl Operations ===

impl Operations {
    fn add(&mut self, verb: Verb, position: u32) -> bool {
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
