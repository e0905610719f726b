use super::*;
use crate::api::{AuthType, Endpoints, Operation};
use crate::lifecycle::LifecycleState;

/// A change that breaks a rule.
type Break = fn(&mut Api);

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
    let broken: [(&str, Break); 24] = [
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
        ("scopes", |api| {
            let mut scope = bound("eat");
            scope.description = "d".repeat(DESCRIPTION_MAX + 1);
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
    let token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
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
fn no_credential_is_looked_for_where_a_call_is_named_traced_or_traced_back() {
    // The value of each is logged, answered or passed on as it came.
    for name in [
        "X-Request-ID",
        "activityid",
        "Traceparent",
        "tracestate",
        "Forwarded",
        "X-Forwarded-For",
    ] {
        let mut api = pizza();
        api.api_key_header = name.to_owned();
        assert_eq!(first(&api), "apiKeyHeader", "{name}");
        let mut api = pizza();
        api.authorization_header = name.to_owned();
        assert_eq!(first(&api), "authorizationHeader", "{name}");
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
