//! Security schemes and requirements: which scopes a document declares, and which an operation asks.
//!
//! Scopes count where a scheme can carry them (OAuth2, OpenID Connect); WSO2's own scheme is named
//! `default` and is understood even when it is not declared.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{FaultKind, ScopeDef, SpecVersion};
use super::findings::Findings;
use super::node::{Members, Node, Place, clip};
use super::reference::follow;

/// The scheme that WSO2 writes into its definitions.
pub(super) const WSO2_SCHEME: &str = "default";

/// The declared schemes.
#[derive(Default)]
pub(super) struct Schemes {
    /// Whether requirements of a scheme list scopes, by the scheme's name.
    scoped: BTreeMap<String, bool>,
    /// The declared scopes, each name once.
    pub(super) scopes: Vec<ScopeDef>,
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
            let Some(target) = follow(root, node, &here, findings) else {
                continue;
            };
            let base = target.pointer.as_deref().map(Place::base);
            let here = base.unwrap_or(here);
            let Some(scheme) = findings.map(&here, target.node) else {
                continue;
            };
            let kind = findings.text(scheme, "type", &here).unwrap_or_default();
            schemes.scoped.insert(
                name.to_owned(),
                matches!(kind.as_str(), "oauth2" | "openIdConnect"),
            );
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
        let bindings = flow.get("x-scopes-bindings").and_then(Node::map);
        let scopes = findings.optional_map(flow, "scopes", place);
        for (name, description) in scopes.into_iter().flat_map(Members::iter) {
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
            self.scopes.push(ScopeDef {
                name: name.to_owned(),
                description: description.scalar().unwrap_or_default().to_owned(),
                roles: roles.map(str::to_owned).collect(),
            });
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
        let mut scopes = Asked::default();
        let requirements = findings.optional_list(members, "security", place);
        let place = place.member("security");
        for (position, requirement) in requirements.iter().enumerate() {
            let here = place.item(position);
            let Some(requirement) = findings.map(&here, requirement) else {
                continue;
            };
            for (name, asked) in requirement.iter() {
                self.ask(name, asked, &here.member(name), &mut scopes, findings);
            }
        }
        Some(scopes.list)
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
        let declared = self.scoped.get(name).copied();
        if declared.is_none() && name != WSO2_SCHEME {
            let message = format!("the security scheme \"{}\" is not declared", clip(name));
            findings.warning(place, FaultKind::Missing, message);
        }
        if declared.unwrap_or(name == WSO2_SCHEME) {
            let seen = &mut scopes.seen;
            let new = asked.into_iter().filter(|scope| seen.insert(scope.clone()));
            scopes.list.extend(new);
        }
    }
}
