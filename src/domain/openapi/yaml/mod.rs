//! YAML 1.2 into the tree, from the event parser under serde-saphyr.
//!
//! `parse` calls it. Composing from events keeps what a serde reader loses: numbers as written
//! (`version: 1.10`) and the place of each fault. Nothing here recurses over the document; depth,
//! values and the weight of alias copies are bounded, so an alias bomb ends when it has cost as
//! much as the largest honest document.

mod merge;
mod scalar;

use std::borrow::Cow;
use std::collections::HashMap;

use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, Tag, options};

use self::merge::merge;
use self::scalar::resolve;
use super::definition::{DefinitionError, FaultKind, Limits};
use super::node::{Node, Pointer, Step, clip};

/// This many bytes of copied text weigh as much as a value.
const BYTES_PER_VALUE: usize = 32;

/// Reads a YAML document.
pub(super) fn parse<'a>(text: &'a str, limits: &Limits) -> Result<Node<'a>, DefinitionError> {
    let mut composer = Composer {
        values: limits.values,
        depth: limits.depth.min(Limits::MAX_DEPTH),
        limits,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        let taken = match event {
            Ok((event, span)) => composer.take(event).map_err(|fault| (fault, span.start)),
            Err(error) => {
                // the parser reads ahead of its events, so its own limit may speak first
                let fault = match error.kind() {
                    ErrorKind::RecursionLimitExceeded => composer.too_deep(),
                    _ => Fault::new(
                        FaultKind::Syntax,
                        format!("not YAML: {}", clip(&error.info())),
                    ),
                };
                Err((fault, *error.marker()))
            }
        };
        if let Err((fault, mark)) = taken {
            return Err(composer.explain(fault, &mark));
        }
    }
    composer.root.ok_or_else(|| DefinitionError {
        pointer: String::new(),
        message: "the document is empty".to_owned(),
        kind: FaultKind::Syntax,
    })
}

struct Composer<'a, 'l> {
    /// How many values may still come, aliased ones included.
    values: usize,
    depth: usize,
    limits: &'l Limits,
    stack: Vec<Frame<'a>>,
    anchors: HashMap<usize, Anchored<'a>>,
    root: Option<Node<'a>>,
    documents: usize,
}

/// A collection that is being read.
struct Frame<'a> {
    anchor: usize,
    body: Body<'a>,
}

enum Body<'a> {
    List(Vec<Node<'a>>),
    Map {
        entries: Vec<(Cow<'a, str>, Node<'a>)>,
        key: Option<Key<'a>>,
        merges: Vec<Node<'a>>,
    },
}

enum Key<'a> {
    Name(Cow<'a, str>),
    /// `<<`
    Merge,
}

struct Anchored<'a> {
    node: Node<'a>,
    weight: usize,
    height: usize,
}

struct Fault {
    kind: FaultKind,
    message: String,
    /// A member of the innermost collection that it concerns.
    member: Option<String>,
}

// === impl Fault ===

impl Fault {
    const fn new(kind: FaultKind, message: String) -> Self {
        Self {
            kind,
            message,
            member: None,
        }
    }
}

// === impl Composer ===

impl<'a> Composer<'a, '_> {
    fn take(&mut self, event: Event<'a>) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(..) => self.document(),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref())
            }
            Event::Alias(anchor) => self.alias(anchor),
            Event::SequenceStart(_, anchor, _) => self.enter(anchor, Body::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.enter(
                anchor,
                Body::Map {
                    entries: Vec::new(),
                    key: None,
                    merges: Vec::new(),
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            _ => Ok(()),
        }
    }

    fn document(&mut self) -> Result<(), Fault> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(Fault::new(
                FaultKind::Syntax,
                "more than one document".to_owned(),
            ));
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Fault> {
        self.charge(1)?;
        let plain =
            style == ScalarStyle::Plain && tag.is_none_or(|tag| tag.core_suffix() != Some("str"));
        let node = if plain && !self.wants_key() {
            resolve(text)
        } else {
            Node::Text(text)
        };
        self.anchor(anchor, &node)?;
        if !self.wants_key() {
            self.attach(node);
            return Ok(());
        }
        match node {
            Node::Text(name) if plain && name == "<<" => self.set_key(Key::Merge),
            Node::Text(name) => self.set_key(Key::Name(name)),
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Fault> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "an alias refers to a value that contains it".to_owned();
            return Err(Fault::new(FaultKind::Reference, message));
        };
        let (weight, height) = (anchored.weight, anchored.height);
        let node = anchored.node.clone_within(self.values, weight);
        self.charge(weight)?;
        let Some(node) = node else { return Ok(()) };
        if self.stack.len() + height > self.depth {
            return Err(self.too_deep());
        }
        if !self.wants_key() {
            self.attach(node);
            return Ok(());
        }
        match node {
            Node::Text(name) | Node::Number(name) => self.set_key(Key::Name(name)),
            other => return Err(bad_key(&other)),
        }
        Ok(())
    }

    fn enter(&mut self, anchor: usize, body: Body<'a>) -> Result<(), Fault> {
        self.charge(1)?;
        if self.wants_key() {
            return Err(Fault::new(
                FaultKind::Wrong,
                "a member name must be a string".to_owned(),
            ));
        }
        if self.stack.len() >= self.depth {
            return Err(self.too_deep());
        }
        self.stack.push(Frame { anchor, body });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let node = match frame.body {
            Body::List(items) => Node::List(items),
            Body::Map {
                entries, merges, ..
            } => match merge(entries, merges) {
                Ok(members) => Node::Map(members),
                Err(fault) => {
                    // the pointer leads through the map itself
                    let body = Body::Map {
                        entries: Vec::new(),
                        key: None,
                        merges: Vec::new(),
                    };
                    self.stack.push(Frame { anchor: 0, body });
                    return Err(fault);
                }
            },
        };
        self.anchor(frame.anchor, &node)?;
        self.attach(node);
        Ok(())
    }

    /// Keeps a copy of an anchored value.
    fn anchor(&mut self, anchor: usize, node: &Node<'a>) -> Result<(), Fault> {
        if anchor == 0 {
            return Ok(());
        }
        let (weight, height) = measure(node);
        self.charge(weight)?;
        self.anchors.insert(
            anchor,
            Anchored {
                node: node.clone(),
                weight,
                height,
            },
        );
        Ok(())
    }

    fn attach(&mut self, node: Node<'a>) {
        match self.stack.last_mut().map(|frame| &mut frame.body) {
            None => self.root = Some(node),
            Some(Body::List(items)) => items.push(node),
            Some(Body::Map {
                entries,
                key,
                merges,
            }) => match key.take() {
                Some(Key::Name(name)) => entries.push((name, node)),
                Some(Key::Merge) => merges.push(node),
                None => {}
            },
        }
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                body: Body::Map { key: None, .. },
                ..
            })
        )
    }

    fn set_key(&mut self, name: Key<'a>) {
        if let Some(Frame {
            body: Body::Map { key, .. },
            ..
        }) = self.stack.last_mut()
        {
            *key = Some(name);
        }
    }

    fn charge(&mut self, weight: usize) -> Result<(), Fault> {
        self.values = self.values.checked_sub(weight).ok_or_else(|| {
            let message = format!(
                "more than {} values, counting what aliases repeat",
                self.limits.values
            );
            Fault::new(FaultKind::TooMany, message)
        })?;
        Ok(())
    }

    fn too_deep(&self) -> Fault {
        Fault::new(
            FaultKind::TooDeep,
            format!("nested deeper than {} levels", self.depth),
        )
    }

    fn explain(&self, fault: Fault, mark: &Marker) -> DefinitionError {
        let mut pointer = Pointer::default();
        for frame in &self.stack {
            match &frame.body {
                Body::List(items) => pointer.push(Step::Item(items.len())),
                Body::Map { key, .. } => match key {
                    Some(Key::Name(name)) => pointer.push(Step::Member(name)),
                    Some(Key::Merge) => pointer.push(Step::Member("<<")),
                    None => {}
                },
            }
        }
        if let Some(member) = &fault.member {
            pointer.push(Step::Member(member));
        }
        let pointer = pointer.finish();
        let message = format!(
            "{} at line {} column {}",
            fault.message,
            mark.line(),
            mark.col() + 1
        );
        DefinitionError {
            pointer,
            message,
            kind: fault.kind,
        }
    }
}

// === impl Node ===

impl Node<'_> {
    /// A copy, unless it would weigh more than is left.
    fn clone_within(&self, left: usize, weight: usize) -> Option<Self> {
        (weight <= left).then(|| self.clone())
    }
}

fn bad_key(node: &Node<'_>) -> Fault {
    Fault::new(
        FaultKind::Wrong,
        format!("a member name must be a string, not {}", node.sort()),
    )
}

/// What a copy weighs, and how many levels it nests.
fn measure(node: &Node<'_>) -> (usize, usize) {
    let over = |children: &mut dyn Iterator<Item = (usize, usize)>| {
        let (weight, height) = children.fold((1, 0), |(weight, height), (more, inner)| {
            (weight + more, usize::max(height, inner))
        });
        (weight, height + 1)
    };
    match node {
        Node::Null | Node::Bool(_) => (1, 0),
        Node::Number(text) | Node::Text(text) => (1 + text.len() / BYTES_PER_VALUE, 0),
        Node::List(items) => over(&mut items.iter().map(measure)),
        Node::Map(members) => over(&mut members.iter().map(|(name, node)| {
            let (weight, height) = measure(node);
            (weight + name.len() / BYTES_PER_VALUE, height)
        })),
    }
}
