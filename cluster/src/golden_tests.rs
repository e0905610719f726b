//! Golden bytes (M1) of what the cluster's own messages have no place of their own for, and that all of them are frozen
//! somewhere in this crate.
//!
//! A line here that no longer holds means that nodes of two versions misunderstand each other: give the message a new
//! version and keep the old struct, do not change the bytes.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{HEAD, decode, encode};
use crate::door::Request;
use crate::member::{Fact, Member};
use crate::members::Gossip;
use crate::mutants::each_mutant;
use crate::node::Probe;
use crate::protocol::PROTOCOL_BEFORE;

/// Kind, and its version in each version of the protocol.
type Row = (u16, Option<u16>, u16);

fn row<R: Request>() -> Row {
    let before = match R::BEFORE {
        Some(before) => Some(before.version()),
        None => (R::SINCE <= PROTOCOL_BEFORE).then_some(R::VERSION),
    };
    (R::KIND, before, R::VERSION)
}

fn rows() -> [Row; 8] {
    [
        row::<Probe>(),
        row::<crate::about::AskAbout>(),
        row::<crate::register::AskRegister>(),
        row::<crate::inspect::AskActors>(),
        row::<crate::inspect::RestartActor>(),
        row::<crate::inspect::AskSettings>(),
        row::<crate::inspect::AskActor>(),
        row::<crate::renewal::RenewCertificate>(),
    ]
}

/// Words of connections that are not members' yet, all of version 1: first ones and the answer, a newcomer's and the answer,
/// and those of a connection for what is large.
const FIRST_WORDS: [u16; 6] = [65_000, 65_001, 65_002, 65_003, 65_004, 65_005];

/// The bytes of a message, in hexadecimal. What nearly is such a message is none, or is no larger than what came.
pub(crate) fn written<T: Serialize + DeserializeOwned>(
    kind: u16,
    version: u16,
    said: &T,
) -> String {
    let bytes = encode(kind, version, said).unwrap();
    each_mutant(&[&bytes[HEAD..]], 200, |body| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let framed = [&bytes[..4], &length, body].concat();
        if let Ok(read) = decode::<T>(kind, version, &framed) {
            let again = encode(kind, version, &read).unwrap();
            assert!(again.len() <= framed.len(), "{} bytes", again.len());
        }
    });
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of the sources of this crate below `folder` whose path `counts`.
fn sources(folder: &Path, counts: fn(&str) -> bool) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !counts(name) {
            continue;
        }
        if path.is_dir() {
            text += &sources(&path, counts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(&path).unwrap();
        }
    }
    text
}

fn own_sources(counts: fn(&str) -> bool) -> String {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), counts)
}

#[test]
fn a_probe_and_its_answer_keep_their_bytes() {
    let member = |id: &str, facts| Member {
        id: id.to_owned(),
        incarnation: 7,
        life: 300,
        name: "n".to_owned(),
        address: "a:1".to_owned(),
        roles: vec!["r".to_owned()],
        facts,
    };
    let fact = Fact {
        key: "k".to_owned(),
        value: "v".to_owned(),
        alone: true,
    };
    let gossip = Gossip {
        member: member("i", vec![fact]),
        leaving: true,
        known: vec![member("j", Vec::new())],
    };
    let probe = written(Probe::KIND, Probe::VERSION, &Probe);
    assert_eq!(probe, "fdf2000100000000");
    assert_eq!(
        written(Probe::KIND, Probe::VERSION, &gossip),
        "fdf2000100000027016907fb2c01016e03613a3101017201016b0176010101016a07fb2c01016e03613a3101017200"
    );
    let bytes = encode(Probe::KIND, Probe::VERSION, &gossip).unwrap();
    let read: Gossip = decode(Probe::KIND, Probe::VERSION, &bytes).unwrap();
    assert_eq!(read, gossip);
}

#[test]
fn no_kind_of_this_crate_is_missing_here() {
    // Tests have kinds of their own.
    let text = own_sources(|name| !name.contains("tests"));
    let requests = text
        .lines()
        .filter(|line| line.starts_with("impl Request for "));
    assert_eq!(requests.count(), rows().len());
    // A request's number, those of first words, and those that stand under a name of their own.
    let numbers = text.lines().filter_map(|line| {
        let (named, number) = line.trim().strip_suffix(';')?.split_once(": u16 = 65_")?;
        named.contains("const ").then(|| format!("65{number}"))
    });
    let found: BTreeSet<u16> = numbers.map(|number| number.parse().unwrap()).collect();
    let here = rows().map(|(kind, ..)| kind).into_iter().chain(FIRST_WORDS);
    assert_eq!(found, here.collect());
}

#[test]
fn every_request_of_this_crate_is_frozen_in_it() {
    let text = own_sources(|_| true);
    for (kind, _, version) in rows() {
        // The request, and at least one answer.
        let literal = format!("\"{kind:04x}{version:04x}");
        assert!(text.matches(&literal).count() >= 2, "{literal}");
    }
    for kind in FIRST_WORDS {
        let literal = format!("\"{kind:04x}0001");
        assert!(text.contains(&literal), "{literal}");
    }
}

#[test]
fn what_nodes_ask_of_themselves_has_the_versions_that_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocols.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (kind, before, now) in rows() {
        let before = before.map_or("-".to_owned(), |version| version.to_string());
        let row = format!("` {kind} | {before} | {now} |");
        assert!(page.contains(&row), "{row}");
    }
}
