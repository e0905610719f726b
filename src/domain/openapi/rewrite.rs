//! An uploaded description with other operations: what agrees stays as it was written, operations
//! that are gone are left out, new ones are described as in a definition made from scratch.
//!
//! The publisher calls it when a person changes the operations of an API that came with its own
//! description, so that description and gateway never contradict each other.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::default::default_definition;
use super::definition::{DefinitionError, DescribedOperation, FaultKind, Limits, SpecVersion};
use super::findings::Findings;
use super::node::{Members, Node, Place};
use super::parse::parse;
use super::reader::open;
use super::reference::follow;
use super::security::{Schemes, WSO2_SCHEME};
use super::write::{Layout, to_json};
use crate::api::{ApiScope, Operation};
use crate::verb::Verb;

/// Members that say how an operation is protected and limited.
const ASPECTS: [&str; 3] = ["security", "x-auth-type", "x-throttling-tier"];
/// Other spellings of the same, which would contradict.
const OTHER_SPELLINGS: [&str; 2] = ["x-wso2-disable-security", "x-wso2-throttling-tier"];

type Entries<'a> = Vec<(Cow<'a, str>, Node<'a>)>;
type Outcome<T> = Result<T, DefinitionError>;

/// What the parts of a rewriting need.
struct Rewriter<'d, 'a> {
    root: &'d Node<'a>,
    version: SpecVersion,
    described: HashMap<(&'d str, Verb), &'d DescribedOperation>,
    wanted: HashMap<(&'d str, Verb), &'d Operation>,
    /// The wanted operations as a definition from scratch has them, by path.
    fresh: &'d Members<'a>,
    /// The name of the scheme that carries scopes.
    scheme: String,
    limits: &'d Limits,
    /// How many more values and bytes references may repeat: each path item is written out, and a
    /// small document can name a large item often.
    repeats: Cell<(usize, usize)>,
}

/// The description with these operations in place of its own, as JSON; none when it says the same
/// already.
///
/// # Errors
/// The first fault, when the description cannot be read; or when it grows beyond its bounds.
pub fn with_operations(
    bytes: &[u8],
    limits: &Limits,
    operations: &[Operation],
    scopes: &[ApiScope],
) -> Outcome<Option<String>> {
    let (root, definition) = open(bytes, limits)?;
    let described: HashMap<_, _> = definition
        .operations
        .iter()
        .map(|one| ((one.target.as_str(), one.verb), one))
        .collect();
    let wanted: HashMap<_, _> = operations
        .iter()
        .filter_map(|one| {
            let verb = Verb::from_method(&one.verb)?;
            Some(((one.target.as_str(), verb), one))
        })
        .collect();
    let agree = |(key, wanted): (&(&str, Verb), &&Operation)| {
        described.get(key).is_some_and(|one| agrees(wanted, one))
    };
    if wanted.len() == described.len() && wanted.iter().all(agree) {
        return Ok(None);
    }
    let fresh = default_definition("", "", operations, scopes);
    // Written here a moment ago, so its size is no danger.
    let unbounded = Limits {
        bytes: usize::MAX,
        values: usize::MAX,
        ..Limits::default()
    };
    let (fresh, _) = parse(fresh.as_bytes(), &unbounded)?;
    let empty = Members::default();
    let paths = fresh.map().and_then(|fresh| fresh.get("paths"));
    let rewriter = Rewriter {
        root: &root,
        version: definition.version,
        described,
        wanted,
        fresh: paths.and_then(Node::map).unwrap_or(&empty),
        scheme: scheme(&root, definition.version, limits),
        limits,
        repeats: Cell::new((limits.values, limits.bytes)),
    };
    let document = rewriter.document(&fresh)?;
    let mut text = to_json(&document, Layout::Indented);
    if text.len() > limits.bytes {
        text = to_json(&document, Layout::Compact);
    }
    if text.len() > limits.bytes {
        let message = format!("would exceed {} bytes with these operations", limits.bytes);
        return Err(fault("", FaultKind::TooLarge, message));
    }
    Ok(Some(text))
}

/// Whether a description says of an operation what the API does.
fn agrees(wanted: &Operation, described: &DescribedOperation) -> bool {
    let said = Operation::from(described);
    let set = |scopes: &'_ [String]| scopes.iter().cloned().collect::<HashSet<_>>();
    said.auth_type == wanted.auth_type
        && said.throttling_policy == wanted.throttling_policy
        && (said.scopes == wanted.scopes || set(&said.scopes) == set(&wanted.scopes))
}

/// A name for the scheme that carries scopes: WSO2's, unless the document means another by it.
fn scheme(root: &Node<'_>, version: SpecVersion, limits: &Limits) -> String {
    let schemes = Schemes::read(root, version, &mut Findings::new(1, limits));
    let mut name = WSO2_SCHEME.to_owned();
    while schemes.carries_scopes(&name) == Some(false) {
        name.push_str("_oauth2");
    }
    name
}

// === impl Rewriter ===

impl<'a> Rewriter<'_, 'a> {
    /// The whole document.
    fn document(&self, fresh: &Node<'a>) -> Outcome<Node<'a>> {
        let mut members = entries(self.root);
        set(&mut members, "paths", self.paths()?);
        let declared = at(fresh, &["components", "securitySchemes", WSO2_SCHEME]);
        let mut declared = entries(declared.unwrap_or(&Node::Null));
        if self.version == SpecVersion::Swagger2 {
            let flow = declared.iter().find(|(name, _)| name == "flows");
            let flow = flow.and_then(|(_, flows)| at(flows, &["implicit"]));
            let flow = entries(flow.unwrap_or(&Node::Null));
            declared.retain(|(name, _)| name != "flows");
            set(&mut declared, "flow", Node::Text(Cow::Borrowed("implicit")));
            declared.extend(flow);
        }
        let scheme = object(declared)?;
        let path: &[&str] = match self.version {
            SpecVersion::Swagger2 => &["securityDefinitions"],
            SpecVersion::OpenApi30 | SpecVersion::OpenApi31 => &["components", "securitySchemes"],
        };
        self.declare(&mut members, path, scheme)?;
        object(members)
    }

    /// Puts the scheme under its name into the object that `path` leads to, made where missing.
    fn declare(
        &self,
        members: &mut Entries<'a>,
        path: &[&'static str],
        scheme: Node<'a>,
    ) -> Outcome<()> {
        let Some((first, rest)) = path.split_first() else {
            set(members, &self.scheme, scheme);
            return Ok(());
        };
        let inner = members.iter().find(|(name, _)| name == first);
        let mut inner = entries(inner.map_or(&Node::Null, |(_, node)| node));
        self.declare(&mut inner, rest, scheme)?;
        set(members, first, object(inner)?);
        Ok(())
    }

    /// The path items: those of the document in its order, then new ones.
    fn paths(&self) -> Outcome<Node<'a>> {
        let mut paths = Entries::new();
        for (path, item) in entries(at(self.root, &["paths"]).unwrap_or(&Node::Null)) {
            if path.starts_with("x-") {
                paths.push((path, item));
            } else if let Some(fresh) = self.fresh.get(&path) {
                let item = self.item(&path, &item, fresh)?;
                paths.push((path, item));
            }
        }
        let known: HashSet<String> = paths.iter().map(|(path, _)| path.to_string()).collect();
        for (path, fresh) in self.fresh.iter().filter(|(path, _)| !known.contains(*path)) {
            let item = self.item(path, &Node::Null, fresh)?;
            paths.push((Cow::Owned(path.to_owned()), item));
        }
        object(paths)
    }

    /// One path item, without the reference that may lead to its members.
    fn item(&self, path: &str, item: &Node<'a>, fresh: &Node<'a>) -> Outcome<Node<'a>> {
        let top = Place::base("/paths");
        let mut findings = Findings::new(1, self.limits);
        let target = follow(self.root, item, &top.member(path), &mut findings);
        let Some(target) = target else {
            let unread = || fault(path, FaultKind::Reference, "leads nowhere".to_owned());
            return Err(findings.errors.into_iter().next().unwrap_or_else(unread));
        };
        if target.pointer.is_some() {
            self.repeat(path, target.node)?;
        }
        let mut members = entries(target.node);
        if target.pointer.is_some() {
            let own = item.map();
            members.retain(|(name, _)| own.is_none_or(|own| own.get(name).is_none()));
            members.extend(entries(item));
        }
        members.retain(|(name, _)| {
            let verb = Verb::from_member(name);
            name != "$ref" && verb.is_none_or(|verb| self.wanted.contains_key(&(path, verb)))
        });
        for (name, node) in entries(fresh) {
            let Some(verb) = Verb::from_member(&name) else {
                continue;
            };
            let written = members.iter_mut().find(|(known, _)| *known == name);
            match written {
                Some((_, written)) => *written = self.operation((path, verb), written, &node)?,
                None => {
                    let node = self.fitting(&node)?;
                    members.push((name, node));
                }
            }
        }
        object(members)
    }

    /// Notes that a path item is written out once more; refused when that would grow the document
    /// beyond its bounds, before anything is copied.
    fn repeat(&self, path: &str, item: &Node<'_>) -> Outcome<()> {
        let ((values, bytes), (more, size)) = (self.repeats.get(), item.size());
        let left = values.checked_sub(more).zip(bytes.checked_sub(size));
        let Some(left) = left else {
            let place = Place::base("/paths");
            let pointer = place.member(path).member("$ref").pointer();
            let message = "references repeat too much of the document".to_owned();
            return Err(fault(&pointer, FaultKind::TooMany, message));
        };
        self.repeats.set(left);
        Ok(())
    }

    /// An operation of the document with what is wanted of it.
    fn operation(
        &self,
        key: (&str, Verb),
        written: &Node<'a>,
        fresh: &Node<'a>,
    ) -> Outcome<Node<'a>> {
        if let (Some(wanted), Some(described)) = (self.wanted.get(&key), self.described.get(&key))
            && agrees(wanted, described)
        {
            return Ok(written.clone());
        }
        let mut members = entries(written);
        members.retain(|(name, _)| !OTHER_SPELLINGS.contains(&name.as_ref()));
        let fresh = entries(&self.fitting(fresh)?);
        for (name, node) in fresh {
            if ASPECTS.contains(&name.as_ref()) {
                set(&mut members, &name, node);
            }
        }
        object(members)
    }

    /// An operation from scratch as the document's version and scheme want it.
    fn fitting(&self, fresh: &Node<'a>) -> Outcome<Node<'a>> {
        let mut members = entries(fresh);
        let is_swagger = self.version == SpecVersion::Swagger2;
        members.retain(|(name, _)| !is_swagger || name != "requestBody");
        for (name, node) in &mut members {
            match (name.as_ref(), &*node) {
                ("security", Node::List(requirements)) => {
                    let scopes = requirements.first().and_then(|one| at(one, &[WSO2_SCHEME]));
                    let scopes = scopes.cloned().unwrap_or(Node::List(Vec::new()));
                    let requirement = vec![(Cow::Owned(self.scheme.clone()), scopes)];
                    *node = Node::List(vec![object(requirement)?]);
                }
                ("parameters", Node::List(parameters)) if is_swagger => {
                    let flat = parameters.iter().map(|parameter| {
                        let mut members = entries(parameter);
                        members.retain(|(name, _)| name != "schema");
                        set(&mut members, "type", Node::Text(Cow::Borrowed("string")));
                        object(members)
                    });
                    *node = Node::List(flat.collect::<Outcome<_>>()?);
                }
                _ => {}
            }
        }
        object(members)
    }
}

/// The members of an object; none of anything else.
fn entries<'a>(node: &Node<'a>) -> Entries<'a> {
    node.map()
        .map(|members| members.clone().into_entries())
        .unwrap_or_default()
}

fn set<'a>(entries: &mut Entries<'a>, name: &str, node: Node<'a>) {
    match entries.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = node,
        None => entries.push((Cow::Owned(name.to_owned()), node)),
    }
}

fn object(entries: Entries<'_>) -> Outcome<Node<'_>> {
    let twice =
        |name: Cow<'_, str>| fault(&name, FaultKind::DuplicateKey, "occurs twice".to_owned());
    Members::build(entries).map(Node::Map).map_err(twice)
}

fn at<'n, 'a>(node: &'n Node<'a>, path: &[&str]) -> Option<&'n Node<'a>> {
    path.iter()
        .try_fold(node, |node, name| node.map()?.get(name))
}

fn fault(pointer: &str, kind: FaultKind, message: String) -> DefinitionError {
    DefinitionError {
        pointer: pointer.to_owned(),
        message,
        kind,
    }
}
