//! The table: contexts, default versions, resources; 10,000 APIs.

use std::sync::Arc;

use super::*;
use crate::path::PathFault;
use crate::template::Template;
use crate::verb::{Verb, VerbSet};

fn resources(operations: &[(&str, Verb)]) -> Resources {
    let templates: Vec<Template> = operations
        .iter()
        .map(|(text, _)| Template::parse(text).unwrap())
        .collect();
    Resources::compile(
        templates
            .iter()
            .zip(operations.iter().map(|(_, verb)| *verb)),
    )
    .unwrap()
}

fn route(vhost: &str, context: &str, default: Option<&str>, api: u32) -> Route<u32> {
    Route::new(
        vhost,
        context,
        default,
        resources(&[("/*", Verb::Get)]),
        api,
    )
    .unwrap()
}

fn found<'p>(table: &RouteTable<u32>, vhost: &str, path: &'p str) -> Option<(u32, &'p str, bool)> {
    table
        .find(vhost, path)
        .map(|hit| (hit.route.api, hit.rest, hit.by_default))
}

#[path = "naive_tests.rs"]
mod naive;

mod contexts {
    use super::*;

    #[test]
    fn the_longest_context_wins_and_ends_at_a_slash() {
        let table = RouteTable::with_all([
            route("localhost", "/a/1", None, 1),
            route("localhost", "/a/1/b/2", None, 2),
            route("localhost", "/t/acme/pizza/v1", None, 3),
        ]);
        assert_eq!(found(&table, "localhost", "/a/1/x"), Some((1, "/x", false)));
        assert_eq!(
            found(&table, "localhost", "/a/1/b/2/x"),
            Some((2, "/x", false))
        );
        assert_eq!(
            found(&table, "localhost", "/a/1/b/20"),
            Some((1, "/b/20", false))
        );
        assert_eq!(found(&table, "localhost", "/a/1"), Some((1, "", false)));
        assert_eq!(found(&table, "localhost", "/a/1/"), Some((1, "/", false)));
        assert_eq!(found(&table, "localhost", "/a/10"), None);
        assert_eq!(found(&table, "localhost", "/a"), None);
        assert_eq!(found(&table, "localhost", "/"), None);
        assert_eq!(found(&table, "localhost", ""), None);
        assert_eq!(
            found(&table, "localhost", "/t/acme/pizza/v1/menu"),
            Some((3, "/menu", false))
        );
        assert_eq!(found(&table, "localhost", "/t/other/pizza/v1/menu"), None);
    }

    #[test]
    fn virtual_hosts_do_not_see_each_other() {
        let table = RouteTable::with_all([
            route("A.example", "/p/1", None, 1),
            route("b.example", "/p/1", None, 2),
        ]);
        assert_eq!(found(&table, "a.example", "/p/1"), Some((1, "", false)));
        assert_eq!(found(&table, "b.example", "/p/1"), Some((2, "", false)));
        assert_eq!(found(&table, "c.example", "/p/1"), None);
    }

    #[test]
    fn the_default_version_answers_without_version_too() {
        let mut table = RouteTable::with_all([
            route("localhost", "/p/1", Some("/p"), 1),
            route("localhost", "/p/2", None, 2),
        ]);
        assert_eq!(
            found(&table, "localhost", "/p/menu"),
            Some((1, "/menu", true))
        );
        assert_eq!(
            found(&table, "localhost", "/p/1/menu"),
            Some((1, "/menu", false))
        );
        assert_eq!(
            found(&table, "localhost", "/p/2/menu"),
            Some((2, "/menu", false))
        );
        // version 2 becomes the default, then version 1 learns that it is none
        table.deploy(&Arc::new(route("localhost", "/p/2", Some("/p"), 22)));
        assert_eq!(
            found(&table, "localhost", "/p/menu"),
            Some((22, "/menu", true))
        );
        table.deploy(&Arc::new(route("localhost", "/p/1", None, 11)));
        assert_eq!(
            found(&table, "localhost", "/p/menu"),
            Some((22, "/menu", true))
        );
        assert_eq!(
            found(&table, "localhost", "/p/1/menu"),
            Some((11, "/menu", false))
        );
        table.undeploy("localhost", "/p/2");
        assert_eq!(found(&table, "localhost", "/p/menu"), None);
        assert_eq!(found(&table, "localhost", "/p/2/menu"), None);
    }

    #[test]
    fn an_api_at_the_very_context_comes_before_a_default_version_whatever_came_first() {
        let exact = || Arc::new(route("localhost", "/p", None, 1));
        let default = || Arc::new(route("localhost", "/p/2", Some("/p"), 2));
        for pair in [[exact(), default()], [default(), exact()]] {
            let mut table = RouteTable::empty();
            for route in &pair {
                table.deploy(route);
            }
            assert_eq!(found(&table, "localhost", "/p/x"), Some((1, "/x", false)));
            table.undeploy("localhost", "/p");
            assert_eq!(found(&table, "localhost", "/p/x"), Some((2, "/x", true)));
        }
    }

    #[test]
    fn a_version_in_front_spreads_a_route_over_two_shards_and_leaves_neither_behind() {
        let mut table = RouteTable::empty();
        let versioned = Arc::new(route("localhost", "/1.0.0/pizza", Some("/pizza"), 1));
        assert_eq!(versioned.shards().count(), 2);
        assert_eq!(table.deploy(&versioned).len(), 2);
        assert_eq!(
            found(&table, "localhost", "/pizza/x"),
            Some((1, "/x", true))
        );
        let listed = (0..SHARDS)
            .filter_map(|index| table.shard(index))
            .flat_map(|shard| shard.routes());
        assert_eq!(listed.count(), 2, "once in each shard");
        table.deploy(&Arc::new(route("localhost", "/1.0.0/pizza", None, 2)));
        assert_eq!(found(&table, "localhost", "/pizza/x"), None);
        assert_eq!(
            found(&table, "localhost", "/1.0.0/pizza/x"),
            Some((2, "/x", false))
        );
    }

    #[test]
    fn contexts_that_no_request_could_reach_are_refused() {
        let fault = |context: &str| Route::new("h", context, None, Resources::default(), ()).err();
        assert_eq!(fault("/"), Some(RouteFault::Reserved("/".to_owned())));
        assert_eq!(fault("/t"), Some(RouteFault::Reserved("/t".to_owned())));
        assert_eq!(fault("/t/"), Some(RouteFault::Reserved("/t/".to_owned())));
        assert!(matches!(
            fault("p"),
            Some(RouteFault::Context {
                fault: PathFault::NotAbsolute,
                ..
            })
        ));
        assert!(matches!(
            fault("/p/../q"),
            Some(RouteFault::Context {
                fault: PathFault::DotSegment,
                ..
            })
        ));
        assert!(matches!(
            fault("/p//"),
            Some(RouteFault::Context {
                fault: PathFault::EmptySegment,
                ..
            })
        ));
        assert!(matches!(
            fault(&"/p".repeat(17)),
            Some(RouteFault::TooLong(_))
        ));
        assert_eq!(fault("/p/"), None);
        let spelt = Route::new("h", "/caf%c3%a9/1/", None, Resources::default(), ()).unwrap();
        assert_eq!(spelt.context(), "/caf%C3%A9/1");
    }

    #[test]
    fn a_deployment_replaces_one_shard_and_shares_the_others() {
        let mut table = RouteTable::with_all(
            (0..1000).map(|n| route("localhost", &format!("/api{n}/1"), None, n)),
        );
        let before = table.clone();
        let changed = table.deploy(&Arc::new(route("localhost", "/new/1", None, 5000)));
        let [shard] = changed.as_slice() else {
            panic!("one shard")
        };
        for index in (0..SHARDS).filter(|index| *index != shard.index()) {
            assert!(Arc::ptr_eq(
                before.shard(index).unwrap(),
                table.shard(index).unwrap()
            ));
        }
        assert_eq!(found(&before, "localhost", "/new/1"), None);
        assert_eq!(
            found(&table, "localhost", "/new/1"),
            Some((5000, "", false))
        );
    }
}

mod scale {
    use super::*;

    #[test]
    fn shards_are_the_same_in_every_build() {
        assert_eq!(shard_of("/pizza/1.0.0"), shard_of("/pizza"));
        assert_eq!(shard_of("/pizza/1.0.0/menu/7"), shard_of("/pizza"));
        assert_eq!(shard_of("/t/acme/pizza/v1"), shard_of("/t/acme"));
        assert_eq!(
            [shard_of("/pizza"), shard_of("/t/acme"), shard_of("/")],
            [118, 222, 174]
        );
        assert!((0..10_000).all(|n| shard_of(&format!("/x{n}")) < SHARDS));
    }

    #[test]
    fn ten_thousand_apis_are_all_found_and_evenly_spread() {
        let table = RouteTable::with_all((0..10_000).map(|n| {
            route(
                "localhost",
                &format!("/api{n}/1.0.0"),
                Some(&format!("/api{n}")),
                n,
            )
        }));
        for n in 0..10_000 {
            let path = format!("/api{n}/1.0.0/pets/1");
            assert_eq!(
                found(&table, "localhost", &path),
                Some((n, "/pets/1", false))
            );
            let path = format!("/api{n}/pets/1");
            assert_eq!(
                found(&table, "localhost", &path),
                Some((n, "/pets/1", true))
            );
        }
        let sizes: Vec<usize> = (0..SHARDS)
            .filter_map(|index| table.shard(index))
            .map(|shard| shard.routes().count())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), 10_000);
        assert!(
            sizes.iter().all(|size| (10..90).contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_shard_that_holds_everything_is_changed_by_parts_and_snapshots_stay() {
        let context = |n: u32| format!("/api/service{n}/1");
        let mut table =
            RouteTable::with_all((0..10_000).map(|n| route("localhost", &context(n), None, n)));
        let before = table.clone();
        for n in 0..2_000 {
            table.deploy(&Arc::new(route(
                "localhost",
                &context(n),
                Some("/api"),
                n + 50_000,
            )));
        }
        for n in 9_000..10_000 {
            table.undeploy("localhost", &context(n));
        }
        for n in 0..10_000 {
            let path = format!("{}/x", context(n));
            assert_eq!(found(&before, "localhost", &path), Some((n, "/x", false)));
            let now = found(&table, "localhost", &path).map(|(api, _, _)| api);
            let default = Some(51_999); // at /api
            assert_eq!(
                now,
                if n < 2_000 {
                    Some(n + 50_000)
                } else if n < 9_000 {
                    Some(n)
                } else {
                    default
                }
            );
        }
        assert_eq!(found(&before, "localhost", "/api/x"), None);
    }

    #[test]
    fn ten_thousand_tenants_and_their_apis_are_spread_too() {
        let table = RouteTable::with_all(
            (0..10_000).map(|n| route("localhost", &format!("/t/tenant{n}.com/api/1"), None, n)),
        );
        let fullest = (0..SHARDS)
            .filter_map(|index| table.shard(index))
            .map(|shard| shard.routes().count())
            .max();
        assert!(fullest.unwrap() < 90);
        assert_eq!(
            found(&table, "localhost", "/t/tenant77.com/api/1/x"),
            Some((77, "/x", false))
        );
    }
}

mod matching {
    use super::*;

    #[test]
    fn the_most_literal_template_wins_whatever_the_order() {
        let mut operations = vec![
            ("/*", Verb::Get),
            ("/pets/*", Verb::Get),
            ("/pets/{id}", Verb::Get),
            ("/pets/{id}.json", Verb::Get),
            ("/pets/mine", Verb::Get),
            ("/pets/{id}/toys", Verb::Get),
            ("/{kind}/mine/toys", Verb::Get),
        ];
        for _ in 0..2 {
            let compiled = resources(&operations);
            for (path, expected) in [
                ("/pets/mine", "/pets/mine"),
                ("/pets/7.json", "/pets/{id}.json"),
                ("/pets/7", "/pets/{id}"),
                ("/pets/7/toys", "/pets/{id}/toys"),
                ("/pets/mine/toys", "/pets/{id}/toys"),
                ("/cats/mine/toys", "/{kind}/mine/toys"),
                ("/pets/7/toys/3", "/pets/*"),
                ("/pets", "/pets/*"),
                ("/pets/", "/pets/*"),
                ("/cats", "/*"),
                ("/", "/*"),
                ("", "/*"),
            ] {
                let Match::Found(at) = compiled.find(path, Verb::Get) else {
                    panic!("{path}")
                };
                assert_eq!(operations[at].0, expected, "{path}");
            }
            operations.reverse();
        }
    }

    #[test]
    fn a_template_without_the_verb_gives_way_and_405_lists_all_verbs_that_match() {
        let compiled = resources(&[
            ("/pets/{id}", Verb::Get),
            ("/pets/{id}", Verb::Delete),
            ("/pets/*", Verb::Post),
            ("/cats", Verb::Get),
        ]);
        assert_eq!(compiled.find("/pets/1", Verb::Delete), Match::Found(1));
        assert_eq!(compiled.find("/pets/1", Verb::Post), Match::Found(2));
        let allowed: VerbSet = [Verb::Get, Verb::Delete, Verb::Post].into_iter().collect();
        assert_eq!(
            compiled.find("/pets/1", Verb::Put),
            Match::NotAllowed(allowed)
        );
        assert_eq!(compiled.verbs("/pets/1"), allowed);
        assert_eq!(
            compiled.find("/cats", Verb::Post),
            Match::NotAllowed([Verb::Get].into_iter().collect())
        );
        assert_eq!(compiled.find("/cats/1", Verb::Get), Match::NotFound);
        assert_eq!(compiled.find("/dogs", Verb::Get), Match::NotFound);
        assert!(compiled.verbs("/dogs").is_empty());
        assert_eq!(Resources::default().find("/", Verb::Get), Match::NotFound);
    }

    #[test]
    fn a_slash_at_the_end_counts_only_between_templates_that_differ_in_it() {
        let both = resources(&[
            ("/pets", Verb::Get),
            ("/pets/", Verb::Get),
            ("/cats/", Verb::Get),
        ]);
        assert_eq!(both.find("/pets", Verb::Get), Match::Found(0));
        assert_eq!(both.find("/pets/", Verb::Get), Match::Found(1));
        assert_eq!(both.find("/cats", Verb::Get), Match::Found(2));
        // a slash must not lead past the protected resource to a laxer wildcard
        let guarded = resources(&[("/*", Verb::Get), ("/admin", Verb::Get)]);
        assert_eq!(guarded.find("/admin/", Verb::Get), Match::Found(1));
    }

    #[test]
    fn operations_that_no_request_tells_apart_are_refused() {
        let templates = ["/a/{b}", "/a/{c}"].map(|text| Template::parse(text).unwrap());
        let fault =
            Resources::compile(templates.iter().map(|template| (template, Verb::Get))).err();
        assert_eq!(
            fault,
            Some(ResourceFault {
                verb: Verb::Get,
                template: "/a/{c}".to_owned()
            })
        );
        let verbs = [Verb::Get, Verb::Put];
        assert!(Resources::compile(templates.iter().zip(verbs)).is_ok());
    }
}
