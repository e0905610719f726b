//! The tree that both notations are read into, and places in it.
//!
//! `json` and `yaml` build it, `reader` walks it. Texts borrow from the document where they can.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Up to this many members are searched one by one.
const FEW: usize = 8;

/// The longest pointer; a fault deeper in names longer than that is reported at the last place that
/// fits, so that huge names cannot be multiplied by faults.
const MAX_POINTER: usize = 4096;

/// The longest piece of a document that a message repeats, in bytes.
const MAX_QUOTE: usize = 120;

/// A value of a document.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// A number as written where the notation lets us see it: `1.10` is not `1.1`.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Members<'a>),
}

/// The members of an object, in the document's order, each name once.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'a> {
    entries: Vec<(Cow<'a, str>, Node<'a>)>,
    /// The entries' positions in the order of their names; empty when there are few.
    order: Vec<usize>,
}

/// A place in a document, as a list from the inside out: costs nothing until a fault prints it.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

/// A JSON pointer (RFC 6901) that is being written.
#[derive(Default)]
pub(super) struct Pointer {
    text: String,
    full: bool,
}

/// One step of a JSON pointer.
#[derive(Clone, Copy)]
pub(super) enum Step<'p> {
    /// A whole pointer to begin with.
    Base(&'p str),
    Member(&'p str),
    Item(usize),
}

// === impl Node ===

impl<'a> Node<'a> {
    /// The text of a scalar that may stand for a text: YAML authors leave quotes out.
    pub(super) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    pub(super) const fn map(&self) -> Option<&Members<'a>> {
        match self {
            Self::Map(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// How many values it is, itself included.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::List(items) => items.iter().map(Self::count).sum::<usize>() + 1,
            Self::Map(members) => members.iter().map(|(_, node)| node.count()).sum::<usize>() + 1,
            _ => 1,
        }
    }

    /// How many values it is, and at least how many bytes they take when they are written.
    pub(super) fn size(&self) -> (usize, usize) {
        let mut size = (1_usize, 2_usize);
        let mut add = |node: &Self, name: usize| {
            let (values, bytes) = node.size();
            size = (size.0 + values, size.1 + bytes + name);
        };
        match self {
            Self::List(items) => items.iter().for_each(|item| add(item, 0)),
            Self::Map(members) => members
                .iter()
                .for_each(|(name, node)| add(node, name.len() + 3)),
            Self::Text(text) | Self::Number(text) => size.1 += text.len(),
            Self::Null | Self::Bool(_) => {}
        }
        size
    }

    /// What it is, for messages.
    pub(super) const fn sort(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Map(_) => "an object",
        }
    }
}

// === impl Members ===

impl<'a> Members<'a> {
    /// Takes the entries as members.
    ///
    /// # Errors
    /// A name that occurs twice.
    pub(super) fn build(entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Result<Self, Cow<'a, str>> {
        if entries.len() <= FEW {
            for (position, (name, _)) in entries.iter().enumerate() {
                if entries
                    .iter()
                    .take(position)
                    .any(|(before, _)| before == name)
                {
                    return Err(name.clone());
                }
            }
            return Ok(Self {
                entries,
                order: Vec::new(),
            });
        }
        let name = |at: &usize| entries.get(*at).map(|(name, _)| name);
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        let mut next = order.iter().skip(1);
        for at in &order {
            let (Some(one), Some(other)) = (name(at), next.next().and_then(name)) else {
                break;
            };
            if one == other {
                return Err(one.clone());
            }
        }
        Ok(Self { entries, order })
    }

    pub(super) fn get(&self, wanted: &str) -> Option<&Node<'a>> {
        if self.order.is_empty() {
            return self
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, node)| node);
        }
        let name = |at: &usize| self.entries.get(*at).map_or("", |(name, _)| name.as_ref());
        let found = self
            .order
            .binary_search_by(|at| name(at).cmp(wanted))
            .ok()?;
        self.order
            .get(found)
            .and_then(|at| self.entries.get(*at))
            .map(|(_, node)| node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.entries
            .iter()
            .map(|(name, node)| (name.as_ref(), node))
    }

    pub(super) fn into_entries(self) -> Vec<(Cow<'a, str>, Node<'a>)> {
        self.entries
    }
}

// === impl Place ===

impl<'p> Place<'p> {
    /// A place given by a whole pointer; the empty one is the document.
    pub(super) const fn base(pointer: &'p str) -> Self {
        Self {
            parent: None,
            step: Step::Base(pointer),
        }
    }

    pub(super) const fn member<'c>(&'c self, name: &'c str) -> Place<'c>
    where
        'p: 'c,
    {
        Place {
            parent: Some(self),
            step: Step::Member(name),
        }
    }

    pub(super) const fn item<'c>(&'c self, position: usize) -> Place<'c>
    where
        'p: 'c,
    {
        Place {
            parent: Some(self),
            step: Step::Item(position),
        }
    }

    /// The place as a JSON pointer (RFC 6901).
    pub(super) fn pointer(&self) -> String {
        self.written().finish()
    }

    fn written(&self) -> Pointer {
        let mut pointer = self.parent.map(Place::written).unwrap_or_default();
        pointer.push(self.step);
        pointer
    }
}

// === impl Pointer ===

impl Pointer {
    /// Appends a step, unless it or one before it did not fit.
    pub(super) fn push(&mut self, step: Step<'_>) {
        let length = match step {
            Step::Base(name) | Step::Member(name) => name.len(),
            Step::Item(_) => 0,
        };
        self.full |= self.text.len().saturating_add(length) > MAX_POINTER;
        if self.full {
            return;
        }
        match step {
            Step::Base(base) => self.text.push_str(base),
            Step::Member(name) => {
                self.text.push('/');
                for char in name.chars() {
                    match char {
                        '~' => self.text.push_str("~0"),
                        '/' => self.text.push_str("~1"),
                        other => self.text.push(other),
                    }
                }
            }
            Step::Item(position) => {
                let _ = write!(self.text, "/{position}"); // a String takes everything
            }
        }
    }

    /// The pointer.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// The beginning of a piece of the document, short enough to be repeated in a message.
pub(super) fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_QUOTE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
