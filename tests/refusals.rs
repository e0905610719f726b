//! What the gateway answers itself: the table in `docs/errors.md` and the code agree, and each row
//! is shown by a test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::eventually;
use crate::support::shop::Shop;
use crate::support::wire::Wire;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources in a directory.
fn sources(directory: &str) -> Vec<String> {
    let mut pending: Vec<PathBuf> = vec![root().join(directory)];
    let mut all = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = path.read_dir().expect("a directory");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            all.push(std::fs::read_to_string(&path).expect("a source file"));
        }
    }
    all
}

/// Words that are codes of the table, with or without an underscore before the last three digits.
fn codes(text: &str) -> BTreeSet<u32> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let plain = words.map(|word| word.replace('_', ""));
    let six = plain.filter(|word| word.len() == 6);
    let numbers = six.filter_map(|word| word.parse().ok());
    numbers
        .filter(|code| {
            matches!(code, 101_500..=101_599 | 102_500..=102_599 | 700_700 | 900_800..=900_999)
        })
        .collect()
}

/// Statuses beside the codes that they go with, as a source has them.
fn statuses(text: &str) -> BTreeSet<(u32, u16)> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let (mut found, mut of_others) = (BTreeSet::new(), Vec::new());
    for place in words.windows(4) {
        let (code, name) = match *place {
            [code, "StatusCode", name, _] | [code, "status", "StatusCode", name] => (code, name),
            ["StatusCode", name, code, _] => (code, name),
            _ => continue,
        };
        let Some(status) = numbered(name) else {
            continue;
        };
        if let Ok(code) = code.replace('_', "").parse() {
            found.insert((code, status));
        } else if code == "code" {
            of_others.push(status);
        }
    }
    // Codes that stand elsewhere in the file, and come to their status as a variable.
    for code in codes(text) {
        if !found.iter().any(|(known, _)| *known == code) {
            found.extend(of_others.iter().map(|status| (code, *status)));
        }
    }
    found
}

/// The status that a constant of `StatusCode` names.
fn numbered(name: &str) -> Option<u16> {
    let words = name.replace('_', " ");
    (400..600).find(|number| {
        let status = http::StatusCode::from_u16(*number).expect("a status");
        let reason = status.canonical_reason().unwrap_or_default();
        reason.replace('-', " ").eq_ignore_ascii_case(&words)
    })
}

/// Code and status of the table's rows.
fn rows() -> BTreeSet<(u32, u16)> {
    let page = std::fs::read_to_string(root().join("docs/errors.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let pairs = rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let code = cells.next()?.trim_end_matches(" †").parse().ok()?;
        Some((code, cells.next()?.parse().expect("a status")))
    });
    pairs.collect()
}

/// The codes among them that are no statuses.
fn in_the_table() -> BTreeSet<u32> {
    let codes = rows().into_iter().map(|(code, _)| code);
    codes.filter(|code| *code >= 1_000).collect()
}

#[test]
fn the_table_of_refusals_has_every_code_of_the_gateway_and_no_other() {
    let mut used = codes(&sources("src/http/gateway").concat());
    // The ends of a range of codes, as XML's namespaces go by them.
    used.retain(|code| ![900_899, 900_999].contains(code));
    assert_eq!(used, in_the_table());
}

#[test]
fn the_table_of_refusals_has_each_code_with_the_statuses_that_the_gateway_gives_it() {
    let sources = sources("src/http/gateway");
    let given: BTreeSet<_> = sources.iter().flat_map(|text| statuses(text)).collect();
    assert_eq!(given, rows());
}

/// A row that no bytes bring about: the answer to a panic, which `gateway/listener` tests by itself.
const PANIC: (u32, u16) = (900_900, 500);
/// How many lines above a code a test may have its status.
const NEAR: usize = 6;

/// Codes that a source names in texts, each with every status that stands near it, as a number of its own.
fn named(source: &str) -> BTreeSet<(u32, Option<u16>)> {
    let lines: Vec<&str> = source.lines().collect();
    let numbers = |line: &str| -> Vec<u16> {
        let words = line.split(|letter: char| !letter.is_ascii_alphanumeric());
        let numbers = words.filter_map(|word| word.parse().ok());
        numbers.filter(|one| (400..600).contains(one)).collect()
    };
    let mut found = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        // Written so that it opens no text here.
        let texts = line.split('\u{22}').skip(1).step_by(2);
        for code in texts.flat_map(codes) {
            found.insert((code, None));
            let near = lines[at.saturating_sub(NEAR)..=at].iter();
            found.extend(
                near.flat_map(|line| numbers(line))
                    .map(|one| (code, Some(one))),
            );
        }
    }
    found
}

/// Read as text: that a call gets it is for the tests that name it.
#[test]
fn some_test_names_each_code_of_the_table_and_where_it_has_several_statuses_each_beside_its_code() {
    let sources = sources("tests");
    let named: BTreeSet<_> = sources.iter().flat_map(|text| named(text)).collect();
    let rows = rows();
    let mut unnamed = Vec::new();
    for (code, status) in rows.iter().filter(|(code, _)| *code >= 1_000) {
        let has_several = rows.iter().filter(|(one, _)| one == code).count() > 1;
        let status = has_several.then_some(*status);
        if (*code, status.unwrap_or_default()) != PANIC && !named.contains(&(*code, status)) {
            unnamed.push((code, status));
        }
    }
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[tokio::test]
async fn a_refused_call_that_speaks_xml_is_answered_in_xml_unless_its_method_has_no_body() {
    let (shop, _upstream) = Shop::start("").await;
    for (method, spoken, answered) in [
        ("POST", "text/xml", "application/xml"),
        (
            "PUT",
            "application/soap+xml; charset=utf-8",
            "application/xml",
        ),
        ("POST", "application/json", "application/json"),
        ("GET", "text/xml", "application/json"),
        ("DELETE", "application/xml", "application/json"),
    ] {
        let call = shop.node.api(method, "/nothing/here");
        let refused = call.bytes(spoken, "").send().await.expect(404);
        let place = format!("{method} {spoken}: {}", refused.text());
        let kind = refused.header("content-type");
        assert_eq!(kind, format!("{answered}; charset=UTF-8"), "{place}");
        let said = match answered {
            "application/xml" => "<am:code>404</am:code>",
            _ => "\"code\":\"404\"",
        };
        assert!(refused.text().contains(said), "{place}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_whole_is_102511() {
    let (shop, _upstream) = Shop::start("").await;
    let head = shop.head("POST", "/items");
    let mut wire = Wire::open(&shop.address()).await;
    let chunks = "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nno length\r\n";
    wire.send(format!("{head}X-Request-ID: broken-chunk\r\n{chunks}"))
        .await;
    wire.reply().await.refused(400, "102511");
    // One that nobody is left to be told about.
    let mut wire = Wire::open(&shop.address()).await;
    let rest = "X-Request-ID: left-early\r\nContent-Length: 10\r\n\r\nbody";
    wire.send(format!("{head}{rest}")).await;
    drop(wire);
    for name in ["broken-chunk", "left-early"] {
        let line = eventually(10, "the call is logged", || async {
            let log = shop.node.log();
            let mut lines = log.lines().filter(|line| line.contains("headgate::access"));
            lines.find(|line| line.contains(name)).map(str::to_owned)
        });
        let line = line.await;
        assert!(line.contains("\"fault\":102511"), "{line}");
    }
}
