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

/// Headers that say how a message travels, or whose it is: a credential in one of them would be
/// taken away by those who read it for what it says.
const TAKEN_HEADERS: [&str; 14] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
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
mod tests {
    use super::*;
    use crate::api::{AuthType, Endpoints, Operation};
    use crate::lifecycle::LifecycleState;

    fn pizza() -> Api {
        Api {
            id: "1".to_owned(),
            tenant: "carbon.super".to_owned(),
            name: "Pizza Shack".to_owned(),
            version: "1.0.0".to_owned(),
            context: "/pizza".to_owned(),
            provider: "admin".to_owned(),
            description: String::new(),
            kind: "HTTP".to_owned(),
            state: LifecycleState::Created,
            is_default_version: false,
            transports: vec!["https".to_owned()],
            security_schemes: vec!["oauth2".to_owned()],
            authorization_header: String::new(),
            api_key_header: String::new(),
            audiences: Vec::new(),
            policies: Vec::new(),
            api_throttling_policy: None,
            tags: Vec::new(),
            operations: vec![operation("GET", "/menu/{id}")],
            scopes: Vec::new(),
            endpoints: Endpoints::default(),
            cors: Cors::default(),
            created_at_ms: 0,
            updated_at_ms: 0,
            row_version: 1,
            extra: "{}".to_owned(),
        }
    }

    fn operation(verb: &str, target: &str) -> Operation {
        Operation {
            id: String::new(),
            target: target.to_owned(),
            verb: verb.to_owned(),
            auth_type: AuthType::Any,
            throttling_policy: "Unlimited".to_owned(),
            scopes: Vec::new(),
        }
    }

    fn bound(name: &str) -> ApiScope {
        ApiScope {
            name: name.to_owned(),
            roles: vec!["admin".to_owned()],
            ..ApiScope::default()
        }
    }

    fn first(api: &Api) -> String {
        let faults = faults(api, false);
        faults
            .first()
            .map(|fault| fault.field.clone())
            .unwrap_or_default()
    }

    #[test]
    fn a_usual_api_breaks_no_rule() {
        assert_eq!(faults(&pizza(), false), Vec::new());
        let mut api = pizza();
        api.context = "/v/{version}/pizza".to_owned();
        assert_eq!(faults(&api, false), Vec::new());
    }

    #[test]
    fn each_broken_rule_names_its_member() {
        type Break = fn(&mut Api);
        let broken: [(&str, Break); 23] = [
            ("name", |api| api.name = "a/b".to_owned()),
            ("name", |api| api.name = "x".repeat(61)),
            ("version", |api| api.version = "1 0".to_owned()),
            ("version", |api| api.version = "..".to_owned()),
            ("context", |api| api.context = "/a/../b".to_owned()),
            ("context", |api| api.context = "/_headgate".to_owned()),
            ("context", |api| api.context = "/a{version}".to_owned()),
            ("context", |api| api.context = "/a//b".to_owned()),
            ("transport", |api| api.transports.clear()),
            ("securityScheme", |api| {
                api.security_schemes = vec!["mutualssl".to_owned()]
            }),
            ("endpointConfig", |api| {
                api.endpoints.production = Some("http://169.254.169.254".to_owned());
            }),
            ("operations", |api| {
                api.operations.push(operation("get", "/x"))
            }),
            ("operations", |api| {
                api.operations.push(operation("GET", "/menu/{other}"));
            }),
            ("scopes", |api| {
                api.scopes = vec![ApiScope {
                    name: "apim:admin".to_owned(),
                    ..ApiScope::default()
                }];
            }),
            ("apiKeyHeader", |api| {
                api.api_key_header = "Authorization".to_owned()
            }),
            ("authorizationHeader", |api| {
                api.authorization_header = "Host".to_owned()
            }),
            ("authorizationHeader", |api| {
                api.authorization_header = "content-length".to_owned()
            }),
            ("corsConfiguration", |api| {
                api.cors.allow_origins = vec!["https://a\r\nx: y".to_owned()];
            }),
            ("tags", |api| api.tags = vec!["a\0b".to_owned()]),
            ("scopes", |api| {
                let mut scope = bound("eat");
                scope.roles.push("a\0b".to_owned());
                api.scopes = vec![scope];
            }),
            ("scopes", |api| api.scopes = vec![bound("openid")]),
            ("scopes", |api| api.scopes = vec![bound("device_1")]),
            ("scopes", |api| api.scopes = vec![bound("default")]),
        ];
        for (member, make) in broken {
            let mut api = pizza();
            make(&mut api);
            assert_eq!(first(&api), member);
        }
    }

    #[test]
    fn what_no_gateway_could_serve_is_no_api() {
        type Break = fn(&mut Api);
        let broken: [(&str, Break); 9] = [
            ("context", |api| {
                api.context = "/{version}/t/acme".to_owned()
            }),
            ("context", |api| {
                api.context = "/{version}/_headgate".to_owned()
            }),
            ("context", |api| {
                api.version = "T".to_owned();
                api.context = "/{version}/acme".to_owned();
            }),
            ("context", |api| {
                api.version = "_headgate".to_owned();
                api.context = "/{version}/acme".to_owned();
            }),
            ("version", |api| api.version = "1?0".to_owned()),
            ("context", |api| api.context = "/t".to_owned()),
            ("context", |api| api.context = "/t/pizza".to_owned()),
            ("context", |api| api.context = "/{version}/t".to_owned()),
            ("context", |api| api.context = "/a".repeat(16)),
        ];
        for (member, make) in broken {
            let mut api = pizza();
            make(&mut api);
            assert_eq!(first(&api), member, "{} {}", api.context, api.version);
        }
        let mut long = pizza();
        long.context = "/a".repeat(15);
        assert_eq!(first(&long), "");
        let mut inside = pizza();
        inside.version = "t".to_owned();
        inside.context = "/v/{version}/_headgate".to_owned();
        assert_eq!(first(&inside), "");
    }

    #[test]
    fn a_credentials_header_has_a_name_that_a_gateway_can_look_for() {
        // RFC 9110 §5.6.2: anything else is no field of a request.
        let token =
            |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
        for letter in ('\0'..='\u{ff}').filter(|letter| !token(*letter)) {
            let mut api = pizza();
            api.authorization_header = format!("X{letter}Auth");
            assert_eq!(first(&api), "authorizationHeader", "{letter:?}");
            let mut api = pizza();
            api.api_key_header = format!("X{letter}Auth");
            assert_eq!(first(&api), "apiKeyHeader", "{letter:?}");
        }
        for usual in ["X-Auth", "x_auth.2", "WS02-`key`"] {
            let mut api = pizza();
            api.authorization_header = usual.to_owned();
            assert_eq!(first(&api), "", "{usual}");
        }
    }

    #[test]
    fn scopes_and_their_roles_are_counted() {
        let mut api = pizza();
        let scopes = |count: usize| (0..count).map(|n| bound(&format!("s{n}"))).collect();
        api.scopes = scopes(SCOPES_MAX);
        assert_eq!(first(&api), "");
        api.scopes = scopes(SCOPES_MAX + 1);
        assert_eq!(first(&api), "scopes");
        api.scopes = vec![bound("eat")];
        for scope in &mut api.scopes {
            scope.roles = vec!["cook".to_owned(); BINDINGS_MAX + 1];
        }
        assert_eq!(first(&api), "scopes");
    }

    #[test]
    fn an_operation_may_ask_only_for_scopes_that_the_api_defines() {
        let mut api = pizza();
        api.operations
            .iter_mut()
            .for_each(|operation| operation.scopes.push("eat".to_owned()));
        assert_eq!(first(&api), "operations");
        api.scopes.push(ApiScope {
            name: "eat".to_owned(),
            ..ApiScope::default()
        });
        assert_eq!(first(&api), "");
    }
}
