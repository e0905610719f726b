//! The table against a matcher that tries everything.

use proptest::prelude::*;

use super::{Match, Resources, RouteTable, route};
use crate::template::{Segment, Tail, Template};
use crate::verb::{Verb, VerbSet};

/// How literal a template is for a path that it matches: one rank a segment, lower is better.
fn ranks(template: &Template) -> Vec<u8> {
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(_) => 0,
        Segment::Mixed(_) => 1,
        Segment::Parameter(_) => 2,
    });
    segments
        .chain((template.tail() == Tail::Wildcard).then_some(3))
        .collect()
}

fn naive(operations: &[(Template, Verb)], path: &str, verb: Verb) -> Match {
    let matching: Vec<usize> = (0..operations.len())
        .filter(|at| operations[*at].0.captures(path).is_some())
        .collect();
    let best = matching
        .iter()
        .copied()
        .filter(|at| operations[*at].1 == verb)
        .min_by_key(|at| {
            let template = &operations[*at].0;
            let other_end = (template.tail() == Tail::Slash) != path.ends_with('/');
            (ranks(template), other_end)
        });
    let allowed: VerbSet = matching.iter().map(|at| operations[*at].1).collect();
    match best {
        Some(at) => Match::Found(at),
        None if allowed.is_empty() => Match::NotFound,
        None => Match::NotAllowed(allowed),
    }
}

fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("a"),
        Just("b"),
        Just("aaaaaaaaa"),
        Just("aaaaaaaab"),
        Just("{x}"),
        Just("a{x}")
    ];
    let tail = prop_oneof![Just(""), Just("/"), Just("/*")];
    (prop::collection::vec(segment, 0..4), tail).prop_map(|(segments, tail)| {
        match segments.as_slice() {
            [] if tail == "/*" => tail.to_owned(),
            [] => "/".to_owned(),
            _ => format!("/{}{tail}", segments.join("/")),
        }
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![Just(Verb::Get), Just(Verb::Post)]
}

proptest! {
    #[test]
    fn the_tree_finds_what_a_naive_matcher_finds(
        texts in prop::collection::vec((template(), verb()), 0..24),
        path in "(/([ab]{1,2}|aaaaaaaa[ab]?)){0,4}/?",
        wanted in verb(),
    ) {
        let mut operations: Vec<(Template, Verb)> = Vec::new();
        for (text, verb) in texts {
            let template = Template::parse(&text).unwrap();
            let known = |(one, its): &(Template, Verb)| one.normal() == template.normal() && *its == verb;
            if !operations.iter().any(known) {
                operations.push((template, verb));
            }
        }
        let compiled = Resources::compile(operations.iter().map(|(template, verb)| (template, *verb))).unwrap();
        prop_assert_eq!(compiled.find(&path, wanted), naive(&operations, &path, wanted));
    }

    #[test]
    fn many_literals_of_one_place_are_told_apart(
        literals in prop::collection::btree_set("[ab]{1,3}|aaaaaaa[ab]{1,3}", 9..40),
        others in prop::collection::vec("[ab]{1,3}|aaaaaaa[ab]{1,3}", 8),
    ) {
        let templates: Vec<Template> =
            literals.iter().map(|literal| Template::parse(&format!("/{literal}")).unwrap()).collect();
        let compiled = Resources::compile(templates.iter().map(|template| (template, Verb::Get))).unwrap();
        for wanted in literals.iter().chain(&others) {
            let expected = literals.iter().position(|literal| literal == wanted);
            let found = compiled.find(&format!("/{wanted}"), Verb::Get);
            prop_assert_eq!(found, expected.map_or(Match::NotFound, Match::Found));
        }
    }

    #[test]
    fn the_table_finds_the_longest_prefix_that_a_naive_search_finds(
        contexts in prop::collection::btree_set("(/[abt]){1,4}", 0..20),
        path in "(/[abt]){0,6}/?",
    ) {
        let contexts: Vec<String> = contexts.into_iter().filter(|context| context != "/t").collect();
        let table = RouteTable::with_all(
            contexts.iter().enumerate().map(|(n, context)| route("h", context, None, u32::try_from(n).unwrap())),
        );
        let prefix = |context: &&String| path.strip_prefix(context.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let expected = contexts.iter().filter(prefix).max_by_key(|context| context.len());
        let hit = table.find("h", &path);
        prop_assert_eq!(hit.map(|hit| hit.context), expected.map(String::as_str));
    }
}
