//! Each fault is reported at its exact place.

use super::FaultKind::{DuplicateOperation, Missing, Path, Version, Wrong};
use super::{FaultKind, Limits, assert_fault, fault, good, validate, with_paths};

/// Documents with the sort and the pointer of their first fault.
const DOCUMENTS: &[(&str, FaultKind, &str)] = &[
    ("[]", Wrong, ""),
    ("\"text\"", Wrong, ""),
    ("{}", Version, ""),
    (r#"{"openapi":"3.2.0"}"#, Version, "/openapi"),
    (r#"{"openapi":"3.01"}"#, Version, "/openapi"),
    (r#"{"openapi":{}}"#, Wrong, "/openapi"),
    (r#"{"swagger":"1.2"}"#, Version, "/swagger"),
    (r#"{"openapi":"3.0.0","paths":{}}"#, Missing, ""),
    (
        r#"{"openapi":"3.0.0","info":[],"paths":{}}"#,
        Wrong,
        "/info",
    ),
    (
        r#"{"openapi":"3.0.0","info":{"version":"1"},"paths":{}}"#,
        Missing,
        "/info",
    ),
    (
        r#"{"openapi":"3.0.0","info":{"title":" ","version":"1"},"paths":{}}"#,
        Wrong,
        "/info/title",
    ),
    (
        r#"{"openapi":"3.0.0","info":{"title":"t","version":[]},"paths":{}}"#,
        Wrong,
        "/info/version",
    ),
    (
        r#"{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":[]}"#,
        Wrong,
        "/paths",
    ),
];

/// The same for `paths` of a document that is sound otherwise.
const PATHS: &[(&str, FaultKind, &str)] = &[
    (r#"{"pets":{}}"#, Path, "/paths/pets"),
    (r#"{"/a/{b":{}}"#, Path, "/paths/~1a~1{b"),
    (r#"{"/a~b/../c":{}}"#, Path, "/paths/~1a~0b~1..~1c"),
    (
        r#"{"/a/{b}":{"get":{}},"/a/{c}":{"put":{},"get":{}}}"#,
        DuplicateOperation,
        "/paths/~1a~1{c}/get",
    ),
    (r#"{"/a":[]}"#, Wrong, "/paths/~1a"),
    (r#"{"/a":{"GET":{}}}"#, Wrong, "/paths/~1a/GET"),
    (r#"{"/a":{"get":1}}"#, Wrong, "/paths/~1a/get"),
    (
        r#"{"/a":{"get":{"tags":"x"}}}"#,
        Wrong,
        "/paths/~1a/get/tags",
    ),
    (
        r#"{"/a":{"get":{"tags":["x",{}]}}}"#,
        Wrong,
        "/paths/~1a/get/tags/1",
    ),
    (
        r#"{"/a":{"get":{"operationId":true}}}"#,
        Wrong,
        "/paths/~1a/get/operationId",
    ),
    (
        r#"{"/a":{"get":{"responses":[]}}}"#,
        Wrong,
        "/paths/~1a/get/responses",
    ),
    (
        r#"{"/a":{"get":{"security":{}}}}"#,
        Wrong,
        "/paths/~1a/get/security",
    ),
    (
        r#"{"/a":{"get":{"security":[{"s":"x"}]}}}"#,
        Wrong,
        "/paths/~1a/get/security/0/s",
    ),
    (
        r#"{"/a":{"parameters":{}}}"#,
        Wrong,
        "/paths/~1a/parameters",
    ),
    (
        r#"{"/a":{"parameters":[{"in":"path"}]}}"#,
        Missing,
        "/paths/~1a/parameters/0",
    ),
    (
        r#"{"/a":{"get":{"parameters":[1]}}}"#,
        Wrong,
        "/paths/~1a/get/parameters/0",
    ),
];

#[test]
fn structural_faults_have_exact_pointers() {
    for (document, kind, pointer) in DOCUMENTS {
        assert_fault(document, *kind, pointer);
    }
    for (paths, kind, pointer) in PATHS {
        assert_fault(with_paths(paths), *kind, pointer);
    }
}

#[test]
fn references_fail_where_they_are_written() {
    use FaultKind::Reference;
    for (paths, pointer) in [
        (
            r##"{"/a":{"$ref":"http://example.com/a.json"}}"##,
            "/paths/~1a/$ref",
        ),
        (
            r##"{"/a":{"$ref":"file:///etc/passwd"}}"##,
            "/paths/~1a/$ref",
        ),
        (r##"{"/a":{"$ref":"other.yaml#/a"}}"##, "/paths/~1a/$ref"),
        (r##"{"/a":{"$ref":"#/nowhere"}}"##, "/paths/~1a/$ref"),
        (r##"{"/a":{"$ref":"#nowhere"}}"##, "/paths/~1a/$ref"),
        (r##"{"/a":{"$ref":"#/paths/~1a"}}"##, "/paths/~1a/$ref"),
        (
            r##"{"/a":{"$ref":"#/paths/~1b"},"/b":{"$ref":"#/paths/~1a"}}"##,
            "/paths/~1a/$ref",
        ),
        (
            r##"{"/a":{"$ref":"#/paths/~1b"},"/b":{"$ref":"http://x"}}"##,
            "/paths/~1b/$ref",
        ),
        (
            r##"{"/a":{"parameters":[{"$ref":"http://x/p"}]}}"##,
            "/paths/~1a/parameters/0/$ref",
        ),
        (
            r##"{"/a":{"get":{"parameters":[{"$ref":"#/x"}]}}}"##,
            "/paths/~1a/get/parameters/0/$ref",
        ),
    ] {
        assert_fault(with_paths(paths), Reference, pointer);
    }
    let wrong =
        with_paths(r##"{"/a":{"$ref":"#/paths/~1b/x-item"},"/b":{"x-item":{"get":{"tags":1}}}}"##);
    assert_fault(wrong, FaultKind::Wrong, "/paths/~1b/x-item/get/tags");
    let escaped = with_paths(r##"{"/a/{x}":{"get":{}},"/b":{"$ref":"#/paths/~1a~1%7Bx%7D"}}"##);
    assert_eq!(good(&escaped).operations.len(), 2);
}

#[test]
fn faults_of_notation_have_the_place_and_the_line() {
    let json = fault("{\"openapi\": \"3.0.0\",\n \"paths\": {\"/a\": {\"get\": [1, tru]}}}");
    assert_eq!(
        (json.kind, json.pointer.as_str()),
        (FaultKind::Syntax, "/paths/~1a/get/1")
    );
    assert!(json.message.contains("line 2"), "{}", json.message);
    let yaml = fault("openapi: 3.0.0\npaths:\n  /a:\n    get: [1, 2\n  /b: }");
    assert_eq!(yaml.kind, FaultKind::Syntax);
    assert!(
        yaml.pointer.starts_with("/paths/~1a/get"),
        "{}",
        yaml.pointer
    );
    assert!(yaml.message.contains("line "), "{}", yaml.message);
    assert_fault(
        "{\"a\":{\"b\":1,\"c\":[{\"d\":1,\"d\":2}]}}",
        FaultKind::DuplicateKey,
        "/a/c/0/d",
    );
    assert_fault(
        "a:\n  b: 1\n  c:\n    - d: 1\n      d: 2\n",
        FaultKind::DuplicateKey,
        "/a/c/0/d",
    );
    let many = (0..20).map(|n| format!("\"k{n}\":0,")).collect::<String>();
    assert_fault(
        format!("{{\"x\":{{{many}\"k7\":1}}}}"),
        FaultKind::DuplicateKey,
        "/x/k7",
    );
}

#[test]
fn validation_collects_faults_in_order_and_no_more_than_asked() {
    let report = validate(
        with_paths(r#"{"a":{},"/b":{"get":1,"put":{"tags":3}},"/c":{"$ref":"x"}}"#).as_bytes(),
        &Limits::default(),
    );
    let pointers: Vec<_> = report
        .errors
        .iter()
        .map(|fault| fault.pointer.as_str())
        .collect();
    assert_eq!(
        pointers,
        [
            "/paths/a",
            "/paths/~1b/get",
            "/paths/~1b/put/tags",
            "/paths/~1c/$ref"
        ]
    );
    assert!(!report.valid);
    let many: String = (0..500).map(|n| format!("\"p{n}\":{{}},")).collect();
    let report = validate(
        with_paths(&format!("{{{many}\"x\":{{}}}}")).as_bytes(),
        &Limits::default(),
    );
    assert_eq!(report.errors.len(), Limits::default().faults);
}

#[test]
fn a_fault_prints_its_place() {
    assert_eq!(
        fault(with_paths(r#"{"/a":[]}"#)).to_string(),
        "must be an object, not an array (at /paths/~1a)"
    );
    assert!(
        fault("{}")
            .to_string()
            .ends_with("(at the document's root)")
    );
}
