//! JSON into the tree: bounded in depth and values, every member name once.
//!
//! `parse` calls it. Errors collect the way back to the root while they travel out of the
//! recursion, so that a sound document pays nothing for pointers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::definition::{DefinitionError, FaultKind, Limits};
use super::node::{Members, Node, Pointer, Step, clip};

/// Reads a JSON document.
pub(super) fn parse<'a>(text: &'a str, limits: &Limits) -> Result<Node<'a>, DefinitionError> {
    let mut state = State {
        values: limits.values,
        depth: limits.depth.min(Limits::MAX_DEPTH),
        limits,
        way: Vec::new(),
        fault: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let root = Value {
        state: &mut state,
        depth: 0,
    }
    .deserialize(&mut json);
    match root.and_then(|root| json.end().map(|()| root)) {
        Ok(root) => Ok(root),
        Err(error) => Err(state.explain(&error)),
    }
}

struct State<'l> {
    /// How many values may still come.
    values: usize,
    depth: usize,
    limits: &'l Limits,
    /// The steps from the fault out to the root.
    way: Vec<OwnedStep>,
    fault: Option<(FaultKind, String)>,
}

enum OwnedStep {
    Member(String),
    Item(usize),
}

struct Value<'s, 'l> {
    state: &'s mut State<'l>,
    depth: usize,
}

struct Name;

// === impl State ===

impl State<'_> {
    fn explain(self, error: &serde_json::Error) -> DefinitionError {
        let mut pointer = Pointer::default();
        for step in self.way.iter().rev() {
            pointer.push(match step {
                OwnedStep::Member(name) => Step::Member(name),
                OwnedStep::Item(position) => Step::Item(*position),
            });
        }
        let pointer = pointer.finish();
        let (kind, message) = self
            .fault
            .unwrap_or_else(|| (FaultKind::Syntax, format!("not JSON: {error}")));
        DefinitionError {
            pointer,
            message,
            kind,
        }
    }

    fn refuse<E: serde::de::Error>(&mut self, kind: FaultKind, message: String) -> E {
        let error = E::custom(&message);
        self.fault = Some((kind, message));
        error
    }

    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        match self.values.checked_sub(1) {
            Some(left) => {
                self.values = left;
                Ok(())
            }
            None => {
                let message = format!("more than {} values", self.limits.values);
                Err(self.refuse(FaultKind::TooMany, message))
            }
        }
    }

    fn enter<E: serde::de::Error>(&mut self, depth: usize) -> Result<(), E> {
        self.count()?;
        if depth >= self.depth {
            let message = format!("nested deeper than {} levels", self.depth);
            return Err(self.refuse(FaultKind::TooDeep, message));
        }
        Ok(())
    }
}

// === impl Value ===

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Node<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Number(Cow::Owned(value.to_string())))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Number(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Number(Cow::Owned(format!("{value:?}"))))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.state.count()?;
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        self.state.enter(self.depth)?;
        let mut items = Vec::new();
        loop {
            let seed = Value {
                state: &mut *self.state,
                depth: self.depth + 1,
            };
            match access.next_element_seed(seed) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Node::List(items)),
                Err(error) => {
                    self.state.way.push(OwnedStep::Item(items.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        self.state.enter(self.depth)?;
        let mut entries = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            let seed = Value {
                state: &mut *self.state,
                depth: self.depth + 1,
            };
            match access.next_value_seed(seed) {
                Ok(value) => entries.push((name, value)),
                Err(error) => {
                    self.state.way.push(OwnedStep::Member(name.into_owned()));
                    return Err(error);
                }
            }
        }
        Members::build(entries).map(Node::Map).map_err(|name| {
            let message = format!("the member \"{}\" occurs twice", clip(&name));
            self.state.way.push(OwnedStep::Member(name.into_owned()));
            self.state.refuse(FaultKind::DuplicateKey, message)
        })
    }
}

// === impl Name ===

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}
