//! Documents that mean harm end in a fault, soon, and never in a panic.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{FaultKind, Limits, assert_fault, fault, good, read, validate, with_paths};

const HEAD: &str = "openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths: {}\n";

#[test]
fn nesting_ends_at_the_limit_in_both_notations() {
    for depth in [64, 100, 127, 10_000, 1_000_000] {
        let lists = format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"x\":".repeat(depth + 1), "}".repeat(depth + 1));
        let lists_fault = fault(&lists);
        assert_eq!(
            (lists_fault.kind, lists_fault.pointer),
            (FaultKind::TooDeep, format!("/x{}", "/0".repeat(63)))
        );
        let objects_fault = fault(&objects);
        assert_eq!(
            (objects_fault.kind, objects_fault.pointer),
            (FaultKind::TooDeep, "/x".repeat(64))
        );
        let yaml = fault(format!("x: {}{}", "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(yaml.kind, FaultKind::TooDeep);
        assert!(
            yaml.pointer.starts_with("/x") && yaml.message.contains("line 1"),
            "{yaml}"
        );
        let spaced = format!("x:\n{}{}", " [\n".repeat(depth), " ]\n".repeat(depth));
        let spaced = fault(spaced);
        assert_eq!(spaced.kind, FaultKind::TooDeep);
    }
    let mut block = String::new();
    for depth in 0..2_000 {
        let _ = writeln!(block, "{}x:", " ".repeat(depth));
    }
    assert_eq!(fault(&block).kind, FaultKind::TooDeep);
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(63), "]".repeat(63));
    assert_eq!(
        fault(deep).kind,
        FaultKind::Version,
        "what is not too deep is read"
    );
}

#[test]
fn a_limit_above_what_the_stack_allows_is_cut_down() {
    let limits = Limits {
        depth: usize::MAX,
        ..Limits::default()
    };
    let document = "[".repeat(100_000);
    assert_eq!(
        read(document.as_bytes(), &limits).unwrap_err().kind,
        FaultKind::TooDeep
    );
    let yaml = format!("- {document}");
    assert_eq!(
        read(yaml.as_bytes(), &limits).unwrap_err().kind,
        FaultKind::TooDeep
    );
}

#[test]
fn a_billion_laughs_are_cut_short() {
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        let _ = writeln!(bomb, "a{n}: &a{n} [{}]", before.trim_end_matches(", "));
    }
    let laughing = fault(format!("{HEAD}{bomb}"));
    assert_eq!(laughing.kind, FaultKind::TooMany);
    assert!(laughing.pointer.starts_with("/a"), "{}", laughing.pointer);
    // one long text, often
    let long = "x".repeat(100_000);
    let copies = "- *t\n".repeat(100_000);
    assert_eq!(
        fault(format!("{HEAD}x-t: &t {long}\nx-l:\n{copies}")).kind,
        FaultKind::TooMany
    );
    // merged objects multiply too
    let mut merging = String::from("m0: &m0 {k: 1}\n");
    for n in 1..30 {
        let _ = writeln!(
            merging,
            "m{n}: &m{n} {{<<: *m{}, a{n}: *m{}}}",
            n - 1,
            n - 1
        );
    }
    assert_eq!(fault(format!("{HEAD}{merging}")).kind, FaultKind::TooMany);
}

#[test]
fn honest_aliases_are_read() {
    let shared =
        "x-a: &a {deep: [1, 2, {three: ~}]}\nx-b: [*a, *a]\nx-c:\n  <<: [*a, {deep: 1, more: 2}]\n";
    assert_eq!(good(&format!("{HEAD}{shared}")).title, "t");
}

#[test]
fn aliases_that_hold_themselves_or_nothing_are_refused() {
    assert_fault(
        format!("{HEAD}x: &x [1, *x]\n"),
        FaultKind::Reference,
        "/x/1",
    );
    assert_fault(
        format!("{HEAD}x: &x {{a: {{b: *x}}}}\n"),
        FaultKind::Reference,
        "/x/a/b",
    );
    assert_eq!(
        fault(format!("{HEAD}x: *nowhere\n")).kind,
        FaultKind::Syntax
    );
    // an alias cannot smuggle depth in
    let half = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let twice = format!(
        "{HEAD}x: &x {half}\ny: {}*x{}\n",
        "[".repeat(40),
        "]".repeat(40)
    );
    assert_eq!(fault(twice).kind, FaultKind::TooDeep);
}

#[test]
fn keys_of_yaml_are_texts() {
    assert_eq!(
        fault(format!("{HEAD}? [a, b]\n: 1\n")).kind,
        FaultKind::Wrong
    );
    assert_eq!(
        fault(format!("{HEAD}? {{a: b}}\n: 1\n")).kind,
        FaultKind::Wrong
    );
    assert_fault(format!("{HEAD}x: {{<<: 7}}\n"), FaultKind::Wrong, "/x/<<");
    assert_eq!(
        good(&format!("{HEAD}x: {{1: a, true: b, null: c, 1.5: d}}\n")).title,
        "t"
    );
    assert_fault(
        format!("{HEAD}x: {{1: a, '1': b}}\n"),
        FaultKind::DuplicateKey,
        "/x/1",
    );
}

#[test]
fn bytes_that_are_no_text_are_refused_with_the_line() {
    let nul = fault(b"{\"openapi\":\n\"3.0\0\"}");
    assert_eq!(nul.kind, FaultKind::Encoding);
    assert!(nul.message.contains("line 2"), "{}", nul.message);
    let broken = fault(b"openapi: 3\n\n\xff\xfe");
    assert_eq!(broken.kind, FaultKind::Encoding);
    assert!(broken.message.contains("line 3"), "{}", broken.message);
    assert_eq!(fault(b"\xff\xfe{\0}\0").kind, FaultKind::Encoding);
    for empty in ["", "  \n\t", "\u{feff}", "# only a comment\n", "---\n...\n"] {
        let fault = fault(empty);
        assert!(
            matches!(fault.kind, FaultKind::Syntax | FaultKind::Wrong),
            "{empty:?} {fault}"
        );
    }
    assert_eq!(
        fault("openapi: 3.0.0\n---\nopenapi: 3.0.0\n").kind,
        FaultKind::Syntax
    );
    assert_eq!(fault("{} {}").kind, FaultKind::Syntax);
    // a NUL that was escaped is a character of a path that no request can have
    assert_fault(
        with_paths(r#"{"/a\u0000":{}}"#),
        FaultKind::Path,
        "/paths/~1a\0",
    );
}

#[test]
fn one_byte_too_many_is_refused_and_none_too_many_is_read() {
    let limits = Limits::default();
    let mut document = with_paths("{}");
    document.push_str(&" ".repeat(limits.bytes - document.len()));
    assert!(read(document.as_bytes(), &limits).is_ok());
    document.push(' ');
    assert_eq!(
        read(document.as_bytes(), &limits).unwrap_err().kind,
        FaultKind::TooLarge
    );
}

#[test]
fn more_values_or_operations_than_allowed_are_refused() {
    let values = format!("{{\"x\":[{}0]}}", "0,".repeat(1_000_000));
    assert_eq!(fault(values).kind, FaultKind::TooMany);
    let paths: Vec<String> = (0..30)
        .map(|n| format!("\"/p{n}\":{{\"get\":{{}}}}"))
        .collect();
    let document = with_paths(&format!("{{{}}}", paths.join(",")));
    let limits = Limits {
        operations: 20,
        ..Limits::default()
    };
    let fault = read(document.as_bytes(), &limits).unwrap_err();
    assert_eq!(
        (fault.kind, fault.pointer.as_str()),
        (FaultKind::TooMany, "/paths/~1p20")
    );
    assert_eq!(good(&document).operations.len(), 30);
}

#[test]
fn references_that_repeat_the_document_a_thousandfold_are_cut_short() {
    let paths = |count: usize| {
        let path = |n| format!(r##""/p{n}":{{"$ref":"#/x-item"}},"##);
        format!(
            "{{{}\"/last\":{{}}}}",
            (0..count).map(path).collect::<String>()
        )
    };
    let head = r#""openapi":"3.0.0","info":{"title":"t","version":"1"}"#;
    let summary = "s".repeat(1_000_000);
    let item = format!(r#""x-item":{{"get":{{"summary":"{summary}"}}}}"#);
    let texts = format!(r#"{{{head},{item},"paths":{}}}"#, paths(5000));
    assert_eq!(fault(texts).kind, FaultKind::TooMany);

    let parameters = r##"{"$ref":"#/x-p"},"##.repeat(20_000);
    let parameters = parameters.trim_end_matches(',');
    let item = format!(r#""x-item":{{"get":{{"parameters":[{parameters}]}}}}"#);
    let parameter = r#""x-p":{"name":"p","in":"query"}"#;
    let visits = format!(r#"{{{head},{parameter},{item},"paths":{}}}"#, paths(5000));
    let limits = Limits {
        bytes: 1_000_000,
        values: 100_000,
        ..Limits::default()
    };
    assert_eq!(
        read(visits.as_bytes(), &limits).unwrap_err().kind,
        FaultKind::TooMany
    );

    let scopes = (0..20_000)
        .map(|n| format!("\"scope-{n}\","))
        .collect::<String>();
    let security = format!(
        r#""security":[{{"default":[{}]}}]"#,
        scopes.trim_end_matches(',')
    );
    let operation = |n| format!(r#""/p{n}":{{"get":{{}}}},"#);
    let operations = (0..2000).map(operation).collect::<String>();
    let scopes = format!(r#"{{{head},{security},"paths":{{{operations}"/z":{{}}}}}}"#);
    assert_eq!(fault(scopes).kind, FaultKind::TooMany);
}

#[test]
fn chains_of_references_cost_no_more_than_the_document_may() {
    // Each parameter leads through fifteen references of a thousand bytes.
    let long = "a".repeat(1_000);
    let hop = |n| format!(r##""{long}{n}":{{"$ref":"#/{long}{}"}},"##, n + 1);
    let hops = (0..14).map(hop).collect::<String>();
    let end = format!(r#""{long}14":{{"name":"p","in":"query"}}"#);
    let first = format!(r##"{{"$ref":"#/{long}0"}},"##);
    let head = r#""openapi":"3.0.0","info":{"title":"t","version":"1"}"#;
    let with = |count: usize| {
        let parameters = first.repeat(count);
        let parameters = parameters.trim_end_matches(',');
        format!(
            r#"{{{head},{hops}{end},"paths":{{"/p":{{"get":{{"parameters":[{parameters}]}}}}}}}}"#
        )
    };
    assert_eq!(good(&with(100)).operations.len(), 1);
    assert_eq!(fault(with(5_000)).kind, FaultKind::TooMany);
    // The same where security schemes are declared by reference.
    let scopes = (0..900)
        .map(|n| format!(r#""s{n}":"","#))
        .collect::<String>();
    let scheme = format!(
        r#""x-s":{{"type":"oauth2","flows":{{"implicit":{{"scopes":{{{scopes}"z":""}}}}}}}}"#
    );
    let one = |n| format!(r##""a{n}":{{"$ref":"#/x-s"}},"##);
    let all = (0..100_000).map(one).collect::<String>();
    let all = all.trim_end_matches(',');
    let schemes =
        format!(r#"{{{head},{scheme},"components":{{"securitySchemes":{{{all}}}}},"paths":{{}}}}"#);
    assert_eq!(fault(schemes).kind, FaultKind::TooMany);
}

#[test]
fn more_scopes_or_roles_than_an_api_may_have_are_refused_where_they_stand() {
    let declared = |count: usize, roles: &str| {
        let scope = |n| format!(r#""s{n}":"""#);
        let scopes = (0..count).map(scope).collect::<Vec<_>>().join(",");
        format!(
            r#"{{"openapi":"3.0.0","info":{{"title":"t","version":"1"}},"paths":{{}},
            "components":{{"securitySchemes":{{"default":{{"type":"oauth2","flows":{{"implicit":{{
            "scopes":{{{scopes}}},"x-scopes-bindings":{{"s1":"{roles}"}}}}}}}}}}}}}}"#
        )
    };
    let at =
        |scope: &str| format!("/components/securitySchemes/default/flows/implicit/scopes/{scope}");
    assert_eq!(good(&declared(1_000, "cook")).scopes.len(), 1_000);
    let many = declared(500_000, "cook");
    assert_fault(many, FaultKind::TooMany, &at("s1000"));
    let roles = "cook,".repeat(5_001);
    assert_fault(declared(2, &roles), FaultKind::TooMany, &at("s1"));
    // Those that operations only name count as well.
    let asking = |n: usize| {
        let scopes = (0..100).map(|m| format!(r#""s{n}-{m}""#));
        let scopes = scopes.collect::<Vec<_>>().join(",");
        format!(r#""/p{n}":{{"get":{{"responses":{{}},"security":[{{"default":[{scopes}]}}]}}}}"#)
    };
    let paths = |count: usize| {
        let paths = (0..count).map(asking).collect::<Vec<_>>().join(",");
        with_paths(&format!("{{{paths}}}"))
    };
    assert_eq!(good(&paths(10)).operations.len(), 10);
    assert_fault(paths(12), FaultKind::TooMany, "/paths/~1p10/get");
}

#[test]
fn faults_repeat_little_of_huge_names() {
    let name = "n".repeat(1_000_000);
    let asked = "1,{},".repeat(60);
    let paths = format!(r#"{{"/a":{{"get":{{"security":[{{"{name}":[{asked}0]}}]}}}}}}"#);
    let report = validate(with_paths(&paths).as_bytes(), &Limits::default());
    assert_eq!(report.errors.len(), Limits::default().faults);
    assert!(
        report
            .errors
            .iter()
            .all(|fault| fault.pointer == "/paths/~1a/get/security/0")
    );
    assert!(
        report
            .warnings
            .iter()
            .all(|warning| warning.message.len() < 300)
    );
    let reference = format!(r##"{{"/a":{{"$ref":"#/{name}"}}}}"##);
    assert!(fault(with_paths(&reference)).message.len() < 300);
    assert!(
        fault(format!("{HEAD}x: {{{name}: 1, {name}: 2}}\n"))
            .message
            .len()
            < 300
    );
    assert!(fault(format!("{HEAD}x: *{name}\n")).message.len() < 300);
}

/// Any JSON value, small.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(Value::from("#/paths/~1a")),
    ];
    let name = prop_oneof![
        Just("openapi"),
        Just("swagger"),
        Just("info"),
        Just("title"),
        Just("version"),
        Just("paths"),
        Just("/a"),
        Just("get"),
        Just("parameters"),
        Just("$ref"),
        Just("security"),
        Just("components"),
        Just("securitySchemes"),
        Just("flows"),
        Just("scopes"),
        Just("tags"),
        Just("servers"),
        Just("type"),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = validate(&bytes, &Limits::default());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-a0:{}\\[\\],&*!|>'\"#%@?<\n ~/$.]{0,120}") {
        let _ = validate(text.as_bytes(), &Limits::default());
    }

    #[test]
    fn no_value_makes_it_panic(mut value in value(), version in 0..4_u8) {
        if let Some(members) = value.as_object_mut() {
            let (name, version) = [("openapi", "3.0.0"), ("openapi", "3.1.0"), ("swagger", "2.0"), ("x", "")]
                [usize::from(version)];
            members.insert(name.to_owned(), version.into());
        }
        let text = value.to_string();
        let report = validate(text.as_bytes(), &Limits::default());
        prop_assert_eq!(report.valid, read(text.as_bytes(), &Limits::default()).is_ok());
        prop_assert!(report.errors.iter().all(|fault| value.pointer(&fault.pointer).is_some()),
            "{:?} leads nowhere in {}", report.errors, text);
    }
}
