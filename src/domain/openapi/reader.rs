//! From the tree to the definition: version, info, servers, tags; paths and security beside it.
//!
//! The publisher's door: [`read`] stops at faults, [`validate`] collects them.

use std::collections::HashSet;

use super::definition::{
    Definition, DefinitionError, DescribedOperation, FaultKind, Limits, Media, SpecVersion,
    ValidationReport,
};
use super::findings::Findings;
use super::node::{Members, Node, Place};
use super::parse::parse;
use super::paths::Operations;
use super::security::{Schemes, refuse_promises};

/// Reads a document.
///
/// # Errors
/// The first fault that hinders its import.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Definition, DefinitionError> {
    open(bytes, limits).map(|(_, definition)| definition)
}

/// Reads a document; gives the tree as well.
pub(super) fn open<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(Node<'a>, Definition), DefinitionError> {
    let (root, media) = parse(bytes, limits)?;
    let mut findings = Findings::new(limits.faults, limits);
    let definition = describe(&root, media, limits, &mut findings);
    let Some(definition) = definition.filter(|_| findings.errors.is_empty()) else {
        let none = || DefinitionError {
            pointer: String::new(),
            message: "the document is no API description".to_owned(),
            kind: FaultKind::Version,
        };
        return Err(findings.errors.into_iter().next().unwrap_or_else(none));
    };
    let warnings = findings.warnings;
    Ok((
        root,
        Definition {
            warnings,
            ..definition
        },
    ))
}

/// Reads a document and collects its faults.
pub fn validate(bytes: &[u8], limits: &Limits) -> ValidationReport {
    let (root, media) = match parse(bytes, limits) {
        Ok(parsed) => parsed,
        Err(fault) => {
            return ValidationReport {
                valid: false,
                errors: vec![fault],
                warnings: Vec::new(),
                info: None,
            };
        }
    };
    let mut findings = Findings::new(limits.faults, limits);
    let info = describe(&root, media, limits, &mut findings);
    let Findings {
        errors, warnings, ..
    } = findings;
    let info = info.map(|definition| Definition {
        warnings: warnings.clone(),
        ..definition
    });
    ValidationReport {
        valid: errors.is_empty() && info.is_some(),
        errors,
        warnings,
        info,
    }
}

/// The definition, as far as it can be read; whoever calls looks at the findings first.
fn describe(
    root: &Node<'_>,
    media: Media,
    limits: &Limits,
    findings: &mut Findings,
) -> Option<Definition> {
    let top = Place::base("");
    let members = findings.map(&top, root)?;
    let (version, spec_version) = spec_version(members, &top, findings)?;
    let (title, api_version, description) = info(members, &top, findings);
    refuse_promises(members, findings);
    let schemes = Schemes::read(root, version, findings);
    let default_scopes = schemes
        .required(members, &top, findings)
        .unwrap_or_default();
    let required = version != SpecVersion::OpenApi31
        || !["components", "webhooks"]
            .iter()
            .any(|name| members.get(name).is_some());
    if required && members.get("paths").is_none() {
        findings.error(&top, FaultKind::Missing, "the member \"paths\" is missing");
    }
    let paths = findings.optional_map(members, "paths", &top);
    let operations = Operations::new(root, version, &schemes, default_scopes, limits);
    let operations = paths
        .map(|paths| operations.read(paths, findings))
        .unwrap_or_default();
    let (base_path, servers) = match version {
        SpecVersion::Swagger2 => swagger_servers(members, &top, findings),
        SpecVersion::OpenApi30 | SpecVersion::OpenApi31 => (None, servers(members, &top, findings)),
    };
    Some(Definition {
        version,
        spec_version,
        media,
        title,
        api_version,
        description,
        base_path,
        servers,
        tags: tags(members, &operations, &top, findings),
        operations,
        scopes: schemes.scopes,
        warnings: Vec::new(),
    })
}

fn spec_version(
    members: &Members<'_>,
    top: &Place<'_>,
    findings: &mut Findings,
) -> Option<(SpecVersion, String)> {
    let name = if members.get("openapi").is_some() {
        "openapi"
    } else {
        "swagger"
    };
    if members.get(name).is_none() {
        let message = "no API description: the member \"openapi\" or \"swagger\" is missing";
        findings.error(top, FaultKind::Version, message);
        return None;
    }
    let written = findings.optional_text(members, name, top);
    let is = |family: &str| {
        let rest = written
            .as_deref()
            .and_then(|text| text.strip_prefix(family));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let version = match name {
        "swagger" if is("2.0") => Some(SpecVersion::Swagger2),
        "openapi" if is("3.0") => Some(SpecVersion::OpenApi30),
        "openapi" if is("3.1") => Some(SpecVersion::OpenApi31),
        _ => None,
    };
    if version.is_none() && (written.is_some() || findings.errors.is_empty()) {
        let message = "not a supported version: swagger 2.0, openapi 3.0.x and 3.1.x are";
        findings.error(&top.member(name), FaultKind::Version, message);
    }
    version.zip(written)
}

fn info(
    members: &Members<'_>,
    top: &Place<'_>,
    findings: &mut Findings,
) -> (String, String, Option<String>) {
    if members
        .get("info")
        .is_none_or(|node| matches!(node, Node::Null))
    {
        findings.error(top, FaultKind::Missing, "the member \"info\" is missing");
    }
    let Some(info) = findings.optional_map(members, "info", top) else {
        return Default::default();
    };
    let place = top.member("info");
    (
        findings.text(info, "title", &place).unwrap_or_default(),
        findings.text(info, "version", &place).unwrap_or_default(),
        findings.optional_text(info, "description", &place),
    )
}

fn swagger_servers(
    members: &Members<'_>,
    top: &Place<'_>,
    findings: &mut Findings,
) -> (Option<String>, Vec<String>) {
    let base_path = findings.optional_text(members, "basePath", top);
    let host = findings.optional_text(members, "host", top);
    let schemes = findings.optional_list(members, "schemes", top);
    let mut schemes = findings.texts(schemes, &top.member("schemes"));
    if schemes.is_empty() {
        schemes.push("https".to_owned());
    }
    let path = base_path.as_deref().unwrap_or_default();
    let servers = match &host {
        Some(host) => schemes
            .iter()
            .map(|scheme| format!("{scheme}://{host}{path}"))
            .collect(),
        None => base_path.iter().cloned().collect(),
    };
    (base_path, servers)
}

fn servers(members: &Members<'_>, top: &Place<'_>, findings: &mut Findings) -> Vec<String> {
    let place = top.member("servers");
    let mut servers = Vec::new();
    for (position, server) in findings
        .optional_list(members, "servers", top)
        .iter()
        .enumerate()
    {
        let here = place.item(position);
        if let Some(server) = findings.map(&here, server) {
            servers.extend(findings.text(server, "url", &here));
        }
    }
    servers
}

fn tags(
    members: &Members<'_>,
    operations: &[DescribedOperation],
    top: &Place<'_>,
    findings: &mut Findings,
) -> Vec<String> {
    let place = top.member("tags");
    let mut tags = Vec::new();
    for (position, tag) in findings
        .optional_list(members, "tags", top)
        .iter()
        .enumerate()
    {
        let here = place.item(position);
        if let Some(tag) = findings.map(&here, tag) {
            tags.extend(findings.text(tag, "name", &here));
        }
    }
    let used = operations
        .iter()
        .flat_map(|operation| operation.tags.iter().cloned());
    let mut seen = HashSet::new();
    tags.into_iter()
        .chain(used)
        .filter(|tag| seen.insert(tag.clone()))
        .collect()
}
