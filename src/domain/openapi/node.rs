//! The tree that both notations are read into, and places in it.
//!
//! `json` and `yaml` build it, `reader` walks it. Texts borrow from the document where they can.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Up to this many members are searched one by one.
const FEW: usize = 8;

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
        let mut pointer = self.parent.map(Place::pointer).unwrap_or_default();
        self.step.write(&mut pointer);
        pointer
    }
}

// === impl Step ===

impl Step<'_> {
    /// Appends the step to a JSON pointer.
    pub(super) fn write(self, pointer: &mut String) {
        match self {
            Self::Base(base) => pointer.push_str(base),
            Self::Member(name) => {
                pointer.push('/');
                for char in name.chars() {
                    match char {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        other => pointer.push(other),
                    }
                }
            }
            Self::Item(position) => {
                let _ = write!(pointer, "/{position}"); // a String takes everything
            }
        }
    }
}
