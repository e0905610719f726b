//! Security schemes and requirements: which scopes a document declares, and which an operation asks.
//!
//! Scopes count where a scheme can carry them (OAuth2, OpenID Connect); WSO2's own scheme is named
//! `default` and is understood even when it is not declared.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{FaultKind, ScopeDef, SpecVersion};
use super::findings::Findings;
use super::node::{Members, Node, Place, clip};
use super::reference::follow;
use crate::api::ApiScope;
use crate::api_rules::{BINDINGS_MAX, SCOPES_MAX, scope_fault};

/// The scheme that WSO2 writes into its definitions.
pub(super) const WSO2_SCHEME: &str = "default";

/// Where WSO2 keeps the roles of scopes, beside them.
pub(super) const SCOPE_BINDINGS: &str = "x-scopes-bindings";

/// The declared schemes.
#[derive(Default)]
pub(super) struct Schemes {
    /// By name.
    declared: BTreeMap<String, Sort>,
    /// The declared scopes, each name once.
    pub(super) scopes: Vec<ScopeDef>,
    /// How many roles they are bound to in all; a scope without any counts as one.
    bindings: usize,
}

/// What the gateway can make of a scheme.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A token whose requirement lists scopes.
    Scoped,
    /// A key, or a token without scopes.
    Plain,
    /// A proof that the gateway does not ask for: mutual TLS, HTTP Basic and the like.
    Unserved,
}

/// The scopes that requirements ask, each once, in order.
#[derive(Default)]
struct Asked {
    list: Vec<String>,
    seen: BTreeSet<String>,
}

// === impl Schemes ===

impl Schemes {
    /// Reads the declared schemes.
    pub(super) fn read(root: &Node<'_>, version: SpecVersion, findings: &mut Findings) -> Self {
        let mut schemes = Self::default();
        let mut seen = BTreeSet::new();
        let (Some(members), top) = (root.map(), Place::base("")) else {
            return schemes;
        };
        let (declared, place) = if version == SpecVersion::Swagger2 {
            (
                findings.optional_map(members, "securityDefinitions", &top),
                Place::base("/securityDefinitions"),
            )
        } else {
            let components = findings.optional_map(members, "components", &top);
            let place = Place::base("/components");
            let declared = components
                .and_then(|members| findings.optional_map(members, "securitySchemes", &place));
            (declared, Place::base("/components/securitySchemes"))
        };
        for (name, node) in declared.into_iter().flat_map(Members::iter) {
            let here = place.member(name);
            if findings.is_spent() {
                findings.repeats(&here);
                break;
            }
            let Some(target) = follow(root, node, &here, findings) else {
                continue;
            };
            let base = target.pointer.as_deref().map(Place::base);
            let here = base.unwrap_or(here);
            let Some(scheme) = findings.map(&here, target.node) else {
                continue;
            };
            let kind = findings.text(scheme, "type", &here).unwrap_or_default();
            schemes
                .declared
                .insert(name.to_owned(), sort(&kind, scheme));
            if kind == "oauth2" {
                schemes.read_scopes(scheme, version, &here, &mut seen, findings);
            }
        }
        schemes
    }

    fn read_scopes(
        &mut self,
        scheme: &Members<'_>,
        version: SpecVersion,
        place: &Place<'_>,
        seen: &mut BTreeSet<String>,
        findings: &mut Findings,
    ) {
        if version == SpecVersion::Swagger2 {
            self.read_flow(scheme, place, seen, findings);
            return;
        }
        let flows = findings.optional_map(scheme, "flows", place);
        let place = place.member("flows");
        for (name, flow) in flows.into_iter().flat_map(Members::iter) {
            let here = place.member(name);
            findings.spend(1);
            if name.starts_with("x-") {
                continue;
            }
            if let Some(flow) = findings.map(&here, flow) {
                self.read_flow(flow, &here, seen, findings);
            }
        }
    }

    fn read_flow(
        &mut self,
        flow: &Members<'_>,
        place: &Place<'_>,
        seen: &mut BTreeSet<String>,
        findings: &mut Findings,
    ) {
        let bindings = flow.get(SCOPE_BINDINGS).and_then(Node::map);
        let scopes = findings.optional_map(flow, "scopes", place);
        for (name, description) in scopes.into_iter().flat_map(Members::iter) {
            findings.spend(1);
            if findings.is_spent() {
                return; // whoever reads the schemes notes it
            }
            if name.starts_with("x-") || !seen.insert(name.to_owned()) {
                continue;
            }
            let roles = bindings
                .and_then(|bindings| bindings.get(name))
                .and_then(Node::scalar);
            let roles = roles
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .filter(|role| !role.is_empty());
            let scope = ScopeDef {
                name: name.to_owned(),
                description: description.scalar().unwrap_or_default().to_owned(),
                roles: roles.map(str::to_owned).collect(),
            };
            let (here, roles) = (place.member("scopes"), scope.roles.len());
            let here = here.member(name);
            self.bindings = self.bindings.saturating_add(roles.max(1));
            if self.scopes.len() >= SCOPES_MAX || self.bindings > BINDINGS_MAX {
                let message =
                    format!("more than {SCOPES_MAX} scopes, or {BINDINGS_MAX} roles of scopes");
                findings.error(&here, FaultKind::TooMany, message);
                return;
            }
            if let Some(problem) = scope_fault(&ApiScope::from(&scope)) {
                findings.error(&here, FaultKind::Wrong, problem);
            }
            self.scopes.push(scope);
        }
    }

    /// The scopes that the requirements in `members.security` ask; `None` when there are none
    /// written, so that those of the document count.
    pub(super) fn required(
        &self,
        members: &Members<'_>,
        place: &Place<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<String>> {
        members
            .get("security")
            .filter(|node| !matches!(node, Node::Null))?;
        let requirements = findings.optional_list(members, "security", place);
        let place = place.member("security");
        let mut scopes = Asked::default();
        let (mut served, mut unserved) = (false, None);
        for (position, requirement) in requirements.iter().enumerate() {
            let here = place.item(position);
            let Some(requirement) = findings.map(&here, requirement) else {
                continue;
            };
            let refused = requirement.iter().find(|(name, _)| !self.is_served(name));
            let mut asked = Asked::default();
            for (name, list) in requirement.iter() {
                // Of alternatives, those that the gateway can ask for are asked for.
                let kept = if refused.is_none() {
                    &mut scopes
                } else {
                    &mut asked
                };
                self.ask(name, list, &here.member(name), kept, findings);
            }
            match refused {
                None => served = true,
                Some((name, _)) if unserved.is_none() => {
                    unserved = Some((here.member(name).pointer(), name));
                }
                Some(_) => {}
            }
        }
        if let (Some((pointer, name)), false) = (unserved, served) {
            let (kind, problem) = match self.declared.get(name) {
                None => (FaultKind::Missing, "is not declared"),
                Some(_) => (
                    FaultKind::Wrong,
                    "is not enforced yet: use oauth2, openIdConnect, apiKey or http bearer",
                ),
            };
            let message = format!("the security scheme \"{}\" {problem}", clip(name));
            findings.error(&Place::base(&pointer), kind, message);
        }
        Some(scopes.list)
    }

    /// Whether a scheme carries scopes; none when it is not declared.
    pub(super) fn carries_scopes(&self, name: &str) -> Option<bool> {
        let sort = self.declared.get(name)?;
        Some(*sort == Sort::Scoped)
    }

    fn is_served(&self, name: &str) -> bool {
        match self.declared.get(name) {
            Some(sort) => *sort != Sort::Unserved,
            None => name == WSO2_SCHEME,
        }
    }

    fn ask(
        &self,
        name: &str,
        asked: &Node<'_>,
        place: &Place<'_>,
        scopes: &mut Asked,
        findings: &mut Findings,
    ) {
        let asked = match asked {
            Node::List(items) => findings.texts(items, place),
            Node::Null => Vec::new(),
            other => {
                let message = format!("must be an array, not {}", other.sort());
                findings.error(place, FaultKind::Wrong, message);
                return;
            }
        };
        if self.carries_scopes(name).unwrap_or(name == WSO2_SCHEME) {
            let seen = &mut scopes.seen;
            let new = asked.into_iter().filter(|scope| seen.insert(scope.clone()));
            scopes.list.extend(new);
        }
    }
}

/// Refuses what WSO2's own members promise and the gateway does not keep yet.
pub(super) fn refuse_promises(members: &Members<'_>, findings: &mut Findings) {
    let name = "x-wso2-mutual-ssl";
    let wanted = members.get(name).and_then(Node::scalar);
    if wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case("mandatory")) {
        let top = Place::base("");
        findings.error(&top.member(name), FaultKind::Wrong, "is not enforced yet");
    }
}

fn sort(kind: &str, scheme: &Members<'_>) -> Sort {
    match kind {
        "oauth2" | "openIdConnect" => Sort::Scoped,
        "apiKey" => Sort::Plain,
        "http" => {
            let scheme = scheme.get("scheme").and_then(Node::scalar);
            match scheme {
                Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => Sort::Plain,
                _ => Sort::Unserved,
            }
        }
        _ => Sort::Unserved,
    }
}
