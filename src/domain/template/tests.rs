//! Templates: parsing with its errors, matching, the form that finds duplicates.

use proptest::prelude::*;

use super::*;

fn values(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let template = Template::parse(template).unwrap();
    let captures = template.captures(path)?;
    Some(
        captures
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

fn pairs(expected: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(
        expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

#[test]
fn a_parameter_takes_one_whole_segment() {
    assert_eq!(values("/pets/{petId}", "/pets/7"), pairs(&[("petId", "7")]));
    assert_eq!(values("/a/{b}/c", "/a/x/c"), pairs(&[("b", "x")]));
    assert_eq!(values("/pets/{petId}", "/pets/"), None);
    assert_eq!(values("/pets/{petId}", "/pets"), None);
    assert_eq!(values("/pets/{petId}", "/pets/7/toys"), None);
    assert_eq!(values("/{+path}", "/x"), pairs(&[("+path", "x")]));
}

#[test]
fn a_wildcard_takes_whatever_follows_and_nothing_too() {
    for path in ["/files", "/files/", "/files/a", "/files/a/b"] {
        assert!(values("/files/*", path).is_some(), "{path}");
    }
    assert_eq!(values("/files/*", "/filesystem"), None);
    for path in ["", "/", "/a", "/a/b/"] {
        assert!(values("/*", path).is_some(), "{path}");
    }
    assert_eq!(values("/{t}/*", "/"), None);
}

#[test]
fn a_slash_at_the_end_makes_no_difference() {
    assert!(values("/pets", "/pets/").is_some());
    assert!(values("/pets/", "/pets").is_some());
    assert!(values("/", "").is_some() && values("/", "/").is_some());
    assert!(values("/pets", "/pets/x").is_none());
}

#[test]
fn literals_and_parameters_mix_in_a_segment() {
    assert_eq!(
        values("/v1/{name}:cancel", "/v1/a:b:cancel"),
        pairs(&[("name", "a:b")])
    );
    assert_eq!(values("/v1/{name}:cancel", "/v1/:cancel"), None);
    assert_eq!(
        values("/{base}...{head}", "/main...dev"),
        pairs(&[("base", "main"), ("head", "dev")])
    );
    assert_eq!(
        values("/{a}-{b}-{c}", "/1-2-3-4"),
        pairs(&[("a", "1"), ("b", "2"), ("c", "3-4")])
    );
    assert_eq!(values("/~{user}", "/~ann"), pairs(&[("user", "ann")]));
    assert_eq!(values("/~{user}", "/ann"), None);
    assert_eq!(values("/x{a}{b}", "/xyz"), pairs(&[("a", "y"), ("b", "z")]));
    assert_eq!(values("/x{a}{b}", "/xy"), None);
    assert_eq!(values("/a{b}a", "/aa"), None);
    assert_eq!(
        values("/{a}.{b}.json", "/x.y.z.json"),
        pairs(&[("a", "x"), ("b", "y.z")])
    );
}

#[test]
fn literals_are_compared_in_canonical_spelling() {
    assert!(values("/café", "/caf%C3%A9").is_some());
    assert!(values("/caf%c3%a9", "/caf%C3%A9").is_some());
    assert!(values("/a b", "/a%20b").is_some());
}

#[test]
fn bad_templates_are_refused_with_the_reason() {
    for (text, fault) in [
        ("", TemplateFault::NoLeadingSlash),
        ("pets", TemplateFault::NoLeadingSlash),
        ("/{}", TemplateFault::EmptyParameter),
        ("/{a", TemplateFault::Unbalanced),
        ("/a}", TemplateFault::Unbalanced),
        ("/{a{b}}", TemplateFault::Unbalanced),
        ("/*/a", TemplateFault::MisplacedWildcard),
        ("/a*", TemplateFault::MisplacedWildcard),
        ("//", TemplateFault::Literal(PathFault::EmptySegment)),
        ("/a//b", TemplateFault::Literal(PathFault::EmptySegment)),
        ("//*", TemplateFault::Literal(PathFault::EmptySegment)),
        ("/a/../b", TemplateFault::Literal(PathFault::DotSegment)),
        ("/a/%2e%2e", TemplateFault::Literal(PathFault::DotSegment)),
        ("/a;b={c}", TemplateFault::Literal(PathFault::Semicolon)),
        ("/a?b={c}", TemplateFault::Literal(PathFault::BadCharacter)),
        ("/a%2Fb", TemplateFault::Literal(PathFault::EncodedSlash)),
        ("/a\\b", TemplateFault::Literal(PathFault::Backslash)),
        ("/a\0", TemplateFault::Literal(PathFault::Control)),
        ("/{a\n}", TemplateFault::Literal(PathFault::Control)),
    ] {
        assert_eq!(Template::parse(text), Err(fault), "{text:?}");
    }
    assert_eq!(
        Template::parse(&"/a".repeat(MAX_SEGMENTS + 1)),
        Err(TemplateFault::TooLong)
    );
    assert_eq!(
        Template::parse(&format!("/{}", "a".repeat(MAX_BYTES))),
        Err(TemplateFault::TooLong)
    );
}

#[test]
fn the_normal_form_forgets_parameter_names_only() {
    let normal = |text: &str| Template::parse(text).unwrap().normal();
    assert_eq!(normal("/pets/{petId}"), normal("/pets/{id}"));
    assert_eq!(normal("/pets/{petId}"), "/pets/{}");
    assert_eq!(normal("/v1/{n}:x"), "/v1/{}:x");
    assert_ne!(normal("/pets/{id}"), normal("/pets/{id}/"));
    assert_eq!(normal("/"), "/");
    assert_eq!(normal("/*"), "/*");
    assert_eq!(normal("/a/*"), "/a/*");
    assert_eq!(normal("/%61"), "/a");
    let names = Template::parse("/{a}/b/{c}.{d}").unwrap();
    assert_eq!(names.parameters().collect::<Vec<_>>(), ["a", "c", "d"]);
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in ".*") {
        let _ = Template::parse(&text);
    }

    #[test]
    fn a_template_matches_itself_filled_in(
        parts in prop::collection::vec(("[a-z]{1,3}", any::<bool>()), 1..6),
    ) {
        let text: String = parts.iter().map(|(word, open)| {
            if *open { format!("/{{{word}}}") } else { format!("/{word}") }
        }).collect();
        let path: String = parts.iter().map(|(word, _)| format!("/{word}")).collect();
        let template = Template::parse(&text).unwrap();
        let captures = template.captures(&path).unwrap();
        prop_assert_eq!(captures.len(), parts.iter().filter(|(_, open)| *open).count());
        prop_assert!(captures.iter().all(|(name, value)| name == value));
    }
}
