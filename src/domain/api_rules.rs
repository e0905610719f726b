//! What an API must fulfil before it is stored: names, context, resources, endpoints, scopes
//! (publisher v4, schema `API`). Pure; the publisher's writer calls it for every way in.

use std::collections::HashSet;

use crate::api::{Api, ApiScope, Cors, unversioned_context, versioned_context};
use crate::artifact::undefined_scope;
use crate::endpoint;
use crate::route_table::check_context;
use crate::scope;
use crate::template::Template;
use crate::verb::Verb;

/// The longest name, in characters.
pub const NAME_MAX: usize = 60;
/// The longest version, in characters.
pub const VERSION_MAX: usize = 30;
/// The longest context, in characters.
pub const CONTEXT_MAX: usize = 232;
/// The longest description, in characters.
pub const DESCRIPTION_MAX: usize = 32_766;
/// The most operations of an API.
pub const OPERATIONS_MAX: usize = 10_000;
/// The most scopes of an API.
pub const SCOPES_MAX: usize = 1_000;
/// The most roles that an API's scopes are bound to in all; a scope without any counts as one.
pub const BINDINGS_MAX: usize = 5_000;

const NAME_FORBIDDEN: &str = "~!@#;:%^*()+={}|\\<>\"',&$[]/";
/// What names of headers may have beside letters and digits: of what is a token (RFC 9110 §5.6.2) what WSO2 takes.
const HEADER_MARKS: &str = "-._`";
const SCHEMES: [&str; 3] = ["oauth2", "api_key", "oauth_basic_auth_api_key_mandatory"];

/// A member that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The member's name in the contract.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// All rules that `api` breaks; empty when it may be stored. Policies are checked where they are
/// stored.
#[must_use]
pub fn faults(api: &Api, allow_loopback: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut note = |field: &str, problem: Option<String>| {
        faults.extend(problem.map(|problem| fault(field, problem)));
    };
    note("name", name_problem(&api.name));
    note("version", version_problem(&api.version));
    note("context", context_problem(&api.context, &api.version));
    note("description", too_long(&api.description, DESCRIPTION_MAX));
    note(
        "authorizationHeader",
        header_problem(&api.authorization_header),
    );
    note("apiKeyHeader", key_header_problem(api));
    note("corsConfiguration", cors_problem(&api.cors));
    note("transport", transport_problem(&api.transports));
    note("securityScheme", scheme_problem(&api.security_schemes));
    note("tags", tag_problem(&api.tags));
    let check = |url: &Option<String>| {
        let url = url.as_deref()?;
        let fault = endpoint::check(url, allow_loopback).err()?;
        Some(format!("the URL {fault}"))
    };
    note("endpointConfig", check(&api.endpoints.production));
    note("endpointConfig", check(&api.endpoints.sandbox));
    note("scopes", scope_problem(api));
    faults.extend(operation_faults(api));
    faults
}

fn fault(field: &str, problem: impl Into<String>) -> Fault {
    Fault {
        field: field.to_owned(),
        problem: problem.into(),
    }
}

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.chars().count() > most).then(|| format!("must not exceed {most} characters"))
}

fn name_problem(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("must not be empty".to_owned());
    }
    if name.contains(|letter: char| NAME_FORBIDDEN.contains(letter) || letter.is_control()) {
        return Some(format!(
            "must not contain control characters or any of {NAME_FORBIDDEN}"
        ));
    }
    too_long(name, NAME_MAX)
}

fn version_problem(version: &str) -> Option<String> {
    if version.is_empty() || version == "." || version == ".." {
        return Some("must be a version such as 1.0.0".to_owned());
    }
    let odd = |letter: char| {
        NAME_FORBIDDEN.contains(letter)
            || letter == '?'
            || letter.is_control()
            || letter.is_whitespace()
    };
    if version.contains(odd) {
        return Some(format!(
            "must not contain spaces or any of {NAME_FORBIDDEN}?"
        ));
    }
    too_long(version, VERSION_MAX)
}

fn context_problem(context: &str, version: &str) -> Option<String> {
    let Some(body) = context.strip_prefix('/') else {
        return Some("must begin with /".to_owned());
    };
    let bare = body.replacen("{version}", "", 1);
    let usual = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    if body.is_empty() || body.ends_with('/') || !bare.chars().all(usual) {
        return Some(
            "must be a path such as /pizza or /pizza/{version} of letters, digits, - _ and ."
                .to_owned(),
        );
    }
    if body.contains("{version}") && !body.split('/').any(|segment| segment == "{version}") {
        return Some("must have {version} as a segment of its own".to_owned());
    }
    let taken = "must begin with a segment of its own, other than _headgate and t (tenants)";
    if body == "{version}" {
        return Some(taken.to_owned());
    }
    // A gateway answers at both, the second for the default version.
    for served in [
        versioned_context(context, version),
        unversioned_context(context),
    ] {
        let first = served.split('/').nth(1).unwrap_or_default();
        if first == "_headgate" || first.eq_ignore_ascii_case("t") {
            return Some(taken.to_owned());
        }
        if let Err(fault) = check_context(&served) {
            return Some(format!("cannot be served: {fault}"));
        }
    }
    too_long(context, CONTEXT_MAX)
}

fn header_problem(header: &str) -> Option<String> {
    let odd = |letter: char| !letter.is_ascii_alphanumeric() && !HEADER_MARKS.contains(letter);
    if header.contains(odd) {
        return Some(format!(
            "must be the name of a header, of letters, digits and {HEADER_MARKS}"
        ));
    }
    if TAKEN_HEADERS.contains(&header.to_ascii_lowercase().as_str()) {
        return Some(format!(
            "must not be {header}, which has a meaning of its own"
        ));
    }
    too_long(header, 100)
}

/// Headers that say how a message travels, whose it is, or which it is: a credential in one of them
/// would be taken away, written down or passed on by those who read it for what it says.
const TAKEN_HEADERS: [&str; 20] = [
    "accept",
    "activityid",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-request-id",
];

/// An API key must not be looked for where the bearer token is.
fn key_header_problem(api: &Api) -> Option<String> {
    let or = |header: &str, otherwise: &str| match header {
        "" => otherwise.to_owned(),
        header => header.to_ascii_lowercase(),
    };
    let key = or(&api.api_key_header, "apikey");
    if key == "authorization" || key == or(&api.authorization_header, "authorization") {
        return Some("must not be the header of bearer tokens".to_owned());
    }
    header_problem(&api.api_key_header)
}

/// What is written into headers of answers must be able to stand there.
fn cors_problem(cors: &Cors) -> Option<String> {
    let lists = [
        ("accessControlAllowOrigins", &cors.allow_origins),
        ("accessControlAllowHeaders", &cors.allow_headers),
        ("accessControlAllowMethods", &cors.allow_methods),
        ("accessControlExposeHeaders", &cors.expose_headers),
    ];
    let odd =
        |text: &String| text.contains(|letter: char| !letter.is_ascii_graphic() && letter != ' ');
    let (name, _) = lists.into_iter().find(|(_, list)| list.iter().any(odd))?;
    Some(format!("{name} must hold printable ASCII"))
}

fn transport_problem(transports: &[String]) -> Option<String> {
    let known = |word: &String| word == "http" || word == "https";
    if transports.is_empty() || !transports.iter().all(known) {
        return Some("must be http, https or both".to_owned());
    }
    None
}

fn scheme_problem(schemes: &[String]) -> Option<String> {
    let unknown = schemes
        .iter()
        .find(|scheme| !SCHEMES.contains(&scheme.as_str()))?;
    Some(format!(
        "{unknown} is not enforced yet, use oauth2 or api_key"
    ))
}

fn tag_problem(tags: &[String]) -> Option<String> {
    let odd = |tag: &String| {
        let odd = |letter: char| letter == ',' || letter.is_control();
        tag.trim().is_empty() || tag.contains(odd) || tag.chars().count() > 100
    };
    tags.iter()
        .any(odd)
        .then(|| "must be words of at most 100 characters without a comma".to_owned())
}

fn scope_problem(api: &Api) -> Option<String> {
    if api.scopes.len() > SCOPES_MAX {
        return Some(format!("must not hold more than {SCOPES_MAX} scopes"));
    }
    let bound = api.scopes.iter().map(|scope| scope.roles.len().max(1));
    if bound.sum::<usize>() > BINDINGS_MAX {
        return Some(format!(
            "must not be bound to more than {BINDINGS_MAX} roles in all"
        ));
    }
    let mut seen = HashSet::new();
    for scope in &api.scopes {
        if let Some(problem) = scope_fault(scope) {
            return Some(problem);
        }
        if !seen.insert(&scope.name) {
            return Some(format!("defines {} twice", scope.name));
        }
    }
    None
}

/// What is wrong with a scope, whatever others there are.
pub(crate) fn scope_fault(scope: &ApiScope) -> Option<String> {
    let name = &scope.name;
    let odd = |letter: char| !letter.is_ascii_graphic() || matches!(letter, '"' | '\\');
    if name.is_empty() || name.contains(odd) || name.chars().count() > 255 {
        return Some("must have names without spaces, of at most 255 characters".to_owned());
    }
    // Of an imported description too: what is let in is what can be sent again.
    if scope.description.chars().count() > DESCRIPTION_MAX {
        return Some(format!(
            "{name} has a description of more than {DESCRIPTION_MAX} characters"
        ));
    }
    if scope::is_everybodys(name) && !scope.roles.is_empty() {
        return Some(format!(
            "{name} is granted to everybody, roles would protect nothing: choose another name"
        ));
    }
    if scope::is_of_platform(name) {
        return Some(format!(
            "{name} belongs to the platform, choose another name"
        ));
    }
    let odd = |letter: char| letter == ',' || letter.is_control();
    let odd =
        |role: &String| role.trim().is_empty() || role.contains(odd) || role.chars().count() > 255;
    let is_bound_to_none = scope.roles.iter().any(odd);
    is_bound_to_none.then(|| format!("{name} is bound to what is no name of a role"))
}

fn operation_faults(api: &Api) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    if api.operations.len() > OPERATIONS_MAX {
        let problem = format!("must not hold more than {OPERATIONS_MAX} operations");
        return vec![fault("operations", problem)];
    }
    for operation in &api.operations {
        let shown = format!("{} {}", operation.verb, operation.target);
        if Verb::from_method(&operation.verb).is_none() {
            let problem =
                format!("{shown}: the verb must be one of GET POST PUT DELETE PATCH HEAD OPTIONS");
            faults.push(fault("operations", problem));
        }
        match Template::parse(&operation.target) {
            Err(problem) => faults.push(fault("operations", format!("{shown}: {problem}"))),
            Ok(template) => {
                if !seen.insert((operation.verb.as_str(), template.normal())) {
                    let problem = format!("{shown}: another operation answers the same requests");
                    faults.push(fault("operations", problem));
                }
            }
        }
        if faults.len() >= 20 {
            return faults;
        }
    }
    if let Some(scope) = undefined_scope(&api.operations, &api.scopes) {
        let problem =
            format!("an operation asks for the scope {scope}, which the API does not define");
        faults.push(fault("operations", problem));
    }
    faults
}

#[cfg(test)]
#[path = "api_rules_tests.rs"]
mod tests;
