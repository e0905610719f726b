//! Security that a document asks for and the gateway does not keep is refused where it stands.

use super::super::FaultKind;
use super::{assert_fault, good};

fn with(security: &str) -> String {
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},
        "paths":{{"/a":{{"get":{{"responses":{{}},"security":{security}}}}}}},
        "components":{{"securitySchemes":{{
          "oauth": {{"type":"oauth2","flows":{{}}}}, "key": {{"type":"apiKey","in":"header","name":"k"}},
          "bearer": {{"type":"http","scheme":"Bearer"}}, "basic": {{"type":"http","scheme":"basic"}},
          "tls": {{"type":"mutualTLS"}}}}}}}}"#
    )
}

#[test]
fn a_scheme_that_is_not_declared_or_not_enforced_is_refused() {
    let at = "/paths/~1a/get/security";
    for (security, kind, pointer) in [
        (r#"[{"zzz":["s1"]}]"#, FaultKind::Missing, "/0/zzz"),
        (r#"[{"tls":[]}]"#, FaultKind::Wrong, "/0/tls"),
        (r#"[{"basic":[]}]"#, FaultKind::Wrong, "/0/basic"),
        (r#"[{"oauth":["s"],"tls":[]}]"#, FaultKind::Wrong, "/0/tls"),
    ] {
        assert_fault(with(security), kind, &format!("{at}{pointer}"));
    }
    let flows = r#""flows":{"implicit":{"scopes":{"openid":"","fine":""},
        "x-scopes-bindings":{"openid":"admin"}}}"#;
    let document = with("[]").replace(r#""flows":{}"#, flows);
    let scope = "/components/securitySchemes/oauth/flows/implicit/scopes/openid";
    assert_fault(document, FaultKind::Wrong, scope);
    let document = with("[]").replacen('{', r#"{"x-wso2-mutual-ssl":"mandatory","#, 1);
    assert_fault(document, FaultKind::Wrong, "/x-wso2-mutual-ssl");
}

#[test]
fn of_alternatives_those_that_are_enforced_count() {
    for security in [
        r#"[{"default":["s"]}]"#,
        r#"[{"key":[]},{"oauth":["s"]}]"#,
        r#"[{"bearer":[]},{"oauth":["s"]}]"#,
        r#"[{"oauth":["t"],"tls":[]},{"oauth":["s"]}]"#,
    ] {
        let definition = good(&with(security));
        assert_eq!(definition.operations[0].scopes, ["s"], "{security}");
    }
    assert!(good(&with("[]")).operations[0].scopes.is_empty());
}
