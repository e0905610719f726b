//! `paths`: path items and their operations.
//!
//! `reader` calls it once the document's version and security schemes are known.

use std::collections::{HashMap, HashSet};

use super::definition::{DescribedOperation, FaultKind, Limits, SpecVersion};
use super::findings::Findings;
use super::node::{Members, Node, Place, clip};
use super::reference::follow;
use super::security::Schemes;
use crate::api::AuthType;
use crate::api_rules::SCOPES_MAX;
use crate::template::Template;
use crate::verb::Verb;

/// Members of a path item that are no operations.
const OTHER_MEMBERS: [&str; 5] = ["$ref", "summary", "description", "servers", "parameters"];

/// What it costs to look at a parameter: about as much as the shortest takes in a document.
const PARAMETER_EFFORT: usize = 16;

/// What every operation of a document is read with.
pub(super) struct Operations<'d, 'a> {
    root: &'d Node<'a>,
    version: SpecVersion,
    schemes: &'d Schemes,
    /// The scopes of operations that say nothing of security.
    default_scopes: Vec<String>,
    limits: &'d Limits,
    /// By the normal form of a template: the verbs described, each with the template as written.
    templates: HashMap<String, Vec<(Verb, &'d str)>>,
    ids: HashSet<String>,
    found: Vec<DescribedOperation>,
    /// The scopes declared or asked for so far.
    scopes: HashSet<String>,
}

// === impl Operations ===

impl<'d, 'a> Operations<'d, 'a> {
    pub(super) fn new(
        root: &'d Node<'a>,
        version: SpecVersion,
        schemes: &'d Schemes,
        default_scopes: Vec<String>,
        limits: &'d Limits,
    ) -> Self {
        Self {
            root,
            version,
            schemes,
            default_scopes,
            limits,
            templates: HashMap::new(),
            ids: HashSet::new(),
            found: Vec::new(),
            scopes: schemes
                .scopes
                .iter()
                .map(|scope| scope.name.clone())
                .collect(),
        }
    }

    /// The operations of `paths`.
    pub(super) fn read(
        mut self,
        paths: &'d Members<'a>,
        findings: &mut Findings,
    ) -> Vec<DescribedOperation> {
        let top = Place::base("/paths");
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            let place = top.member(path);
            match Template::parse(path) {
                Ok(template) => self.item((path, &template.normal()), item, &place, findings),
                Err(fault) => findings.error(&place, FaultKind::Path, fault.to_string()),
            }
            if self.found.len() > self.limits.operations {
                let message = format!("more than {} operations", self.limits.operations);
                findings.error(&place, FaultKind::TooMany, message);
                self.found.truncate(self.limits.operations);
                break;
            }
            if findings.is_spent() {
                findings.repeats(&place);
                break;
            }
        }
        self.found
    }

    /// Counts the scopes that an operation asks for: an API may have no more than it can define.
    fn count_scopes(
        &mut self,
        described: &DescribedOperation,
        place: &Place<'_>,
        findings: &mut Findings,
    ) {
        if self.scopes.len() > SCOPES_MAX {
            return;
        }
        let new = described.scopes.iter();
        let new = new.filter(|scope| !self.scopes.contains(*scope));
        let new: Vec<String> = new.cloned().collect();
        self.scopes.extend(new);
        if self.scopes.len() > SCOPES_MAX {
            let message = format!("more than {SCOPES_MAX} scopes");
            findings.error(place, FaultKind::TooMany, message);
        }
    }

    /// Whether no operation before this one answers the same requests: names of parameters tell
    /// no paths apart, but two spellings of one path may have different verbs (GitHub's have).
    fn accepts(
        &mut self,
        verb: Verb,
        (path, normal): (&'d str, &str),
        place: &Place<'_>,
        findings: &mut Findings,
    ) -> bool {
        let described = self.templates.entry(normal.to_owned()).or_default();
        let Some((_, before)) = described.iter().find(|(known, _)| *known == verb) else {
            described.push((verb, path));
            return true;
        };
        let message = if *before == path {
            format!("{verb} of the path is described twice")
        } else {
            format!(
                "{verb} of the same path as \"{}\": names of parameters tell no paths apart",
                clip(before)
            )
        };
        findings.error(place, FaultKind::DuplicateOperation, message);
        false
    }

    fn item(
        &mut self,
        path: (&'d str, &str),
        item: &'d Node<'a>,
        place: &Place<'_>,
        findings: &mut Findings,
    ) {
        if matches!(item, Node::Null) {
            return;
        }
        let Some(target) = follow(self.root, item, place, findings) else {
            return;
        };
        let base = target.pointer.as_deref().map(Place::base);
        let referenced = base.as_ref().unwrap_or(place);
        let Some(members) = findings.map(referenced, target.node) else {
            return;
        };
        self.operations(path, members, referenced, findings);
        if let (Some(_), Some(own)) = (&target.pointer, item.map()) {
            self.operations(path, own, place, findings); // OpenAPI 3 allows members beside `$ref`
        }
    }

    fn operations(
        &mut self,
        path: (&'d str, &str),
        members: &'d Members<'a>,
        place: &Place<'_>,
        findings: &mut Findings,
    ) {
        self.parameters(members, place, findings);
        for (name, node) in members.iter() {
            findings.spend(1);
            if findings.is_spent() {
                return;
            }
            if name.starts_with("x-") || OTHER_MEMBERS.contains(&name) {
                continue;
            }
            let here = place.member(name);
            let Some(verb) = Verb::from_member(name) else {
                unknown(name, &here, findings);
                continue;
            };
            let Some(operation) = findings.map(&here, node) else {
                continue;
            };
            if !self.accepts(verb, path, &here, findings) {
                continue;
            }
            let described = self.operation(path.0, verb, operation, &here, findings);
            findings.spend(weight(&described));
            self.count_scopes(&described, &here, findings);
            self.found.push(described);
        }
    }

    fn operation(
        &mut self,
        path: &str,
        verb: Verb,
        members: &'d Members<'a>,
        place: &Place<'_>,
        findings: &mut Findings,
    ) -> DescribedOperation {
        self.parameters(members, place, findings);
        let responses = members
            .get("responses")
            .filter(|node| !matches!(node, Node::Null));
        if responses.is_none() && self.version != SpecVersion::OpenApi31 {
            findings.warning(
                place,
                FaultKind::Missing,
                "the member \"responses\" is missing",
            );
        }
        findings.optional_map(members, "responses", place);
        let operation_id = findings.optional_text(members, "operationId", place);
        if let Some(id) = &operation_id
            && !self.ids.insert(id.clone())
        {
            let message = format!("the operation id \"{}\" occurs twice", clip(id));
            findings.warning(
                &place.member("operationId"),
                FaultKind::DuplicateOperation,
                message,
            );
        }
        let tags = findings.optional_list(members, "tags", place);
        findings.spend(tags.len() + members.get("security").map_or(0, Node::count));
        let asked = self.schemes.required(members, place, findings);
        let tier = ["x-throttling-tier", "x-wso2-throttling-tier"];
        DescribedOperation {
            target: path.to_owned(),
            verb,
            operation_id,
            summary: findings.optional_text(members, "summary", place),
            tags: findings.texts(tags, &place.member("tags")),
            scopes: asked.unwrap_or_else(|| self.default_scopes.clone()),
            x_auth_type: auth_type(members, place, findings),
            x_throttling_tier: tier.into_iter().find_map(|name| vendor_text(members, name)),
        }
    }

    fn parameters(&self, members: &'d Members<'a>, place: &Place<'_>, findings: &mut Findings) {
        let parameters = findings.optional_list(members, "parameters", place);
        findings.spend(parameters.len() * PARAMETER_EFFORT);
        let place = place.member("parameters");
        for (position, parameter) in parameters.iter().enumerate() {
            if findings.is_spent() {
                return;
            }
            let here = place.item(position);
            let Some(target) = follow(self.root, parameter, &here, findings) else {
                continue;
            };
            let base = target.pointer.as_deref().map(Place::base);
            let here = base.unwrap_or(here);
            if let Some(parameter) = findings.map(&here, target.node) {
                findings.text(parameter, "name", &here);
                findings.text(parameter, "in", &here);
            }
        }
    }
}

/// A member of a path item that is neither an operation nor known: lost quietly only when it could
/// not have been meant as one that WSO2 serves.
fn unknown(name: &str, place: &Place<'_>, findings: &mut Findings) {
    let lower = name.to_ascii_lowercase();
    if Verb::from_member(&lower).is_some() {
        findings.error(
            place,
            FaultKind::Wrong,
            format!("methods are in lower case: write \"{lower}\""),
        );
    } else {
        let message = format!(
            "\"{}\" is no method that a resource can have; it is left out",
            clip(name)
        );
        findings.warning(place, FaultKind::Wrong, message);
    }
}

/// How much of a document an operation repeats.
fn weight(operation: &DescribedOperation) -> usize {
    let lists = [&operation.tags, &operation.scopes].into_iter().flatten();
    let texts = [
        &operation.operation_id,
        &operation.summary,
        &operation.x_auth_type,
        &operation.x_throttling_tier,
    ];
    let bytes = lists.map(|text| text.len() + 1).sum::<usize>();
    bytes + texts.into_iter().flatten().map(String::len).sum::<usize>() + operation.target.len()
}

fn auth_type(members: &Members<'_>, place: &Place<'_>, findings: &mut Findings) -> Option<String> {
    if let Some(Node::Bool(true)) = members.get("x-wso2-disable-security") {
        return Some("None".to_owned());
    }
    let written = vendor_text(members, "x-auth-type").filter(|written| !written.is_empty())?;
    if AuthType::parse(&written).is_none() {
        let message = format!("\"{}\" is no type of authentication", clip(&written));
        findings.error(&place.member("x-auth-type"), FaultKind::Wrong, message);
    }
    Some(written)
}

fn vendor_text(members: &Members<'_>, name: &str) -> Option<String> {
    members.get(name).and_then(Node::scalar).map(str::to_owned)
}
