//! Faults and oddities that the readers of a document's parts collect, and how much they may still
//! look at.

use super::definition::{DefinitionError, FaultKind, Limits};
use super::node::{Members, Node, Place};

/// The collected findings, bounded.
pub(super) struct Findings {
    pub(super) errors: Vec<DefinitionError>,
    pub(super) warnings: Vec<DefinitionError>,
    most: usize,
    /// How much more may be looked at and copied, in values and bytes. A document that repeats
    /// nothing never needs more than its own size; with references a small one could ask for a
    /// thousand times as much.
    effort: usize,
}

// === impl Findings ===

impl Findings {
    /// Nothing found yet; `most` of each sort are kept.
    pub(super) const fn new(most: usize, limits: &Limits) -> Self {
        Self {
            errors: Vec::new(),
            warnings: Vec::new(),
            most,
            effort: limits.bytes.saturating_mul(2).saturating_add(limits.values),
        }
    }

    /// Notes that so much was looked at or copied.
    pub(super) const fn spend(&mut self, effort: usize) {
        self.effort = self.effort.saturating_sub(effort);
    }

    /// Whether no more may be looked at: the document asks for many times its size.
    pub(super) const fn is_spent(&self) -> bool {
        self.effort == 0
    }

    /// The fault of a document that asks for more than may be looked at.
    pub(super) fn repeats(&mut self, place: &Place<'_>) {
        let message = "references repeat too much of the document";
        self.error(place, FaultKind::TooMany, message);
    }

    /// Notes a fault that hinders the import.
    pub(super) fn error(&mut self, place: &Place<'_>, kind: FaultKind, message: impl Into<String>) {
        if self.errors.len() < self.most.max(1) {
            self.errors.push(DefinitionError {
                pointer: place.pointer(),
                message: message.into(),
                kind,
            });
        }
    }

    /// Notes an oddity that does not.
    pub(super) fn warning(
        &mut self,
        place: &Place<'_>,
        kind: FaultKind,
        message: impl Into<String>,
    ) {
        if self.warnings.len() < self.most {
            self.warnings.push(DefinitionError {
                pointer: place.pointer(),
                message: message.into(),
                kind,
            });
        }
    }

    fn wrong(&mut self, place: &Place<'_>, wanted: &str, node: &Node<'_>) {
        self.error(
            place,
            FaultKind::Wrong,
            format!("must be {wanted}, not {}", node.sort()),
        );
    }

    /// A value that must be an object.
    pub(super) fn map<'n, 'a>(
        &mut self,
        place: &Place<'_>,
        node: &'n Node<'a>,
    ) -> Option<&'n Members<'a>> {
        let map = node.map();
        if map.is_none() {
            self.wrong(place, "an object", node);
        }
        map
    }

    /// A member that must be an object when it is there; `null` counts as absent, as YAML authors
    /// leave members empty.
    pub(super) fn optional_map<'n, 'a>(
        &mut self,
        members: &'n Members<'a>,
        name: &str,
        place: &Place<'_>,
    ) -> Option<&'n Members<'a>> {
        let node = members
            .get(name)
            .filter(|node| !matches!(node, Node::Null))?;
        self.map(&place.member(name), node)
    }

    /// A member that must be an array when it is there; empty when absent.
    pub(super) fn optional_list<'n, 'a>(
        &mut self,
        members: &'n Members<'a>,
        name: &str,
        place: &Place<'_>,
    ) -> &'n [Node<'a>] {
        let Some(node) = members.get(name).filter(|node| !matches!(node, Node::Null)) else {
            return &[];
        };
        node.list().unwrap_or_else(|| {
            self.wrong(&place.member(name), "an array", node);
            &[]
        })
    }

    /// A member that must be a text when it is there; a bare number is taken as written.
    pub(super) fn optional_text(
        &mut self,
        members: &Members<'_>,
        name: &str,
        place: &Place<'_>,
    ) -> Option<String> {
        let node = members
            .get(name)
            .filter(|node| !matches!(node, Node::Null))?;
        if node.scalar().is_none() {
            self.wrong(&place.member(name), "a string", node);
        }
        node.scalar().map(str::to_owned)
    }

    /// A member that must be there and hold a text that is not empty.
    pub(super) fn text(
        &mut self,
        members: &Members<'_>,
        name: &str,
        place: &Place<'_>,
    ) -> Option<String> {
        if members
            .get(name)
            .is_none_or(|node| matches!(node, Node::Null))
        {
            self.error(
                place,
                FaultKind::Missing,
                format!("the member \"{name}\" is missing"),
            );
            return None;
        }
        let text = self.optional_text(members, name, place)?;
        if text.trim().is_empty() {
            self.error(&place.member(name), FaultKind::Wrong, "must not be empty");
        }
        Some(text)
    }

    /// The texts of a list; whatever else is in it is a fault.
    pub(super) fn texts(&mut self, items: &[Node<'_>], place: &Place<'_>) -> Vec<String> {
        let mut texts = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            match item.scalar() {
                Some(text) => texts.push(text.to_owned()),
                None => self.wrong(&place.item(position), "a string", item),
            }
        }
        texts
    }
}
