//! A match among 10,000 APIs of eight resources each: shard, context, resource. Below 1 µs.

mod measure;

use std::hint::black_box;
use std::process::ExitCode;

use anyhow::Context as _;

use domain::route_table::{Match, Resources, Route, RouteTable};
use domain::template::Template;
use domain::verb::Verb;

const APIS: usize = 10_000;
const ROUNDS: usize = 40;
const LIMIT_NS: f64 = 1_000.0;

const RESOURCES: [(&str, Verb); 8] = [
    ("/orders", Verb::Get),
    ("/orders", Verb::Post),
    ("/orders/{orderId}", Verb::Get),
    ("/orders/{orderId}/items", Verb::Get),
    ("/orders/{orderId}/items/{itemId}", Verb::Get),
    ("/orders/latest", Verb::Get),
    ("/health", Verb::Get),
    ("/files/*", Verb::Get),
];

const PATHS: [&str; 4] = [
    "/orders/latest",
    "/orders/4711/items/12",
    "/files/2026/november/report.pdf",
    "/orders/4711",
];

fn main() -> anyhow::Result<ExitCode> {
    let templates = RESOURCES.map(|(text, _)| Template::parse(text));
    let templates: Vec<Template> = templates.into_iter().collect::<Result<_, _>>()?;
    let verbs = RESOURCES.iter().map(|(_, verb)| *verb);
    let resources = Resources::compile(templates.iter().zip(verbs))?;
    let route = |number: usize| {
        let context = format!("/team{}/service{number}/1.0.{}", number % 100, number % 7);
        Route::new("localhost", &context, None, resources.clone(), number)
    };
    let routes: Vec<Route<usize>> = (0..APIS).map(route).collect::<Result<_, _>>()?;
    // A stride of a prime visits all shards in an order that no cache guesses.
    let paths: Vec<String> = (0..APIS)
        .zip(PATHS.iter().cycle())
        .filter_map(|(at, rest)| {
            let route = routes.get(at * 7_919 % APIS)?;
            Some(format!("{}{rest}", route.context()))
        })
        .collect();
    let table = RouteTable::with_all(routes);
    let matches = |path: &String| {
        let hit = table.find("localhost", path)?;
        matches!(
            hit.route.resources.find(hit.rest, Verb::Get),
            Match::Found(_)
        )
        .then_some(())
    };
    let missed = paths.iter().find(|path| matches(path).is_none());
    anyhow::ensure!(missed.is_none(), "{missed:?} does not match");
    let mut work = || {
        for _ in 0..ROUNDS {
            for path in &paths {
                black_box(matches(black_box(path)));
            }
        }
        (ROUNDS * paths.len()) as u64
    };
    let measured = measure::nanoseconds(&mut [&mut work]);
    let measured = measured.first().copied().context("nothing was measured")?;
    Ok(measure::verdict(
        "a route match among 10,000 APIs",
        measured,
        LIMIT_NS,
        "ns",
    ))
}
