//! Golden bytes (M1): every request and reply that may cross nodes, frozen per kind and version.
//!
//! A line here that no longer holds means that nodes of two versions misunderstand each other:
//! give the message a new version and keep the old struct, do not change the bytes.

mod agreed_view;
mod change_feed;
mod commands;
mod inspection;
mod members;
#[path = "../../../fuzz/mutants.rs"]
mod mutants;
mod tenants;
mod traffic_manager;
mod usage;
mod validation;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use cluster::{PROTOCOL, PROTOCOL_BEFORE, Request, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agreed_view::message::{
    AskView, AskVoter, Claim, GiveUp, HoldOn, OrderView, Retire, Share, TellView, TellVoter,
};
use crate::change_feed::Positions;
use crate::change_feed::message::{Heartbeat, Pull, Snapshot, WaitApplied};
use crate::key_manager::command::Command;
use crate::key_manager::message::{CheckBasic, ValidateMany};
use crate::traffic_manager::member::message::{AskKey, AskShards, ChangeKey, TellShard};
use crate::traffic_manager::message::{LeaseMany, PassOn, TellLeases};
use crate::usage::message::{DeliverUnknown, DeliverUsage};
use mutants::each_mutant;

/// Bodies that are tried of each message beside its own.
const MUTANTS: usize = 100;

/// Compares messages with their frozen bytes and tells all that differ at once. What is nearly such a message is refused,
/// or is no larger than what came.
#[derive(Default)]
struct Frozen {
    differ: String,
}

// === impl Frozen ===

impl Frozen {
    fn request<R: Request>(mut self, request: &R, hex: &str) -> Self {
        self.same::<R, R>(request, hex);
        self
    }

    fn reply<R: Request>(mut self, reply: &R::Reply, hex: &str) -> Self {
        self.same::<R, R::Reply>(reply, hex);
        self
    }

    fn same<R: Request, T: Serialize + DeserializeOwned>(&mut self, value: &T, hex: &str) {
        let bytes = encode(R::KIND, R::VERSION, value).unwrap();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if text != hex {
            writeln!(self.differ, "is {text}\nnot {hex}").unwrap();
        }
        let read: T = decode(R::KIND, R::VERSION, &bytes).unwrap();
        assert_eq!(encode(R::KIND, R::VERSION, &read).unwrap(), bytes);
        is_no_larger_nearly::<T>((R::KIND, R::VERSION), &bytes);
    }

    fn hold(&self) {
        assert!(self.differ.is_empty(), "{}", self.differ);
    }
}

/// What is nearly such a message is refused, or is no larger than what came.
fn is_no_larger_nearly<T: Serialize + DeserializeOwned>((kind, version): (u16, u16), bytes: &[u8]) {
    let (head, body) = bytes.split_at(4);
    each_mutant(&[&body[4..]], MUTANTS, |mutant| {
        let length = u32::try_from(mutant.len()).unwrap().to_be_bytes();
        let framed = [head, &length, mutant].concat();
        if let Ok(read) = decode::<T>(kind, version, &framed) {
            let again = encode(kind, version, &read).unwrap();
            assert!(again.len() <= framed.len(), "{} bytes", again.len());
        }
    });
}

fn text(text: &str) -> String {
    text.to_owned()
}

const KINDS: [u16; 27] = [
    ValidateMany::KIND,
    CheckBasic::KIND,
    Command::KIND,
    LeaseMany::KIND,
    TellLeases::KIND,
    PassOn::KIND,
    TellShard::KIND,
    AskShards::KIND,
    AskKey::KIND,
    ChangeKey::KIND,
    Pull::KIND,
    Snapshot::KIND,
    Heartbeat::KIND,
    WaitApplied::KIND,
    Positions::KIND,
    DeliverUsage::KIND,
    DeliverUnknown::KIND,
    AskVoter::KIND,
    TellVoter::KIND,
    AskView::KIND,
    TellView::KIND,
    Claim::KIND,
    Share::KIND,
    OrderView::KIND,
    HoldOn::KIND,
    GiveUp::KIND,
    Retire::KIND,
];

#[test]
fn no_two_requests_share_a_number() {
    assert_eq!(BTreeSet::from(KINDS).len(), KINDS.len());
}

#[test]
fn every_request_of_the_components_is_frozen_here() {
    let found = numbers_in(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(found, BTreeSet::from(KINDS));
}

/// What stands behind `const KIND: u16 =` in the sources of this crate.
fn numbers_in(folder: &Path) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(numbers_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let numbers = source
                .lines()
                .filter_map(|line| line.trim().strip_prefix("const KIND: u16 = 0x"));
            found.extend(
                numbers.map(|hex| u16::from_str_radix(hex.trim_end_matches(';'), 16).unwrap()),
            );
        }
    }
    found
}

/// Kind, its version in each version of the protocol (M1).
fn versions<R: Request>() -> (u16, [Option<u16>; 2]) {
    let now = (R::SINCE <= PROTOCOL).then_some(R::VERSION);
    let before = match R::BEFORE {
        Some(before) => Some(before.version()),
        None => (R::SINCE <= PROTOCOL_BEFORE).then_some(R::VERSION),
    };
    (R::KIND, [before, now])
}

#[test]
fn each_version_of_the_protocol_keeps_the_shapes_that_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&format!("| kind | {PROTOCOL_BEFORE} | {PROTOCOL} |")));
    let rows = [
        versions::<ValidateMany>(),
        versions::<CheckBasic>(),
        versions::<Command>(),
        versions::<LeaseMany>(),
        versions::<TellLeases>(),
        versions::<PassOn>(),
        versions::<TellShard>(),
        versions::<AskShards>(),
        versions::<AskKey>(),
        versions::<ChangeKey>(),
        versions::<Pull>(),
        versions::<Snapshot>(),
        versions::<Heartbeat>(),
        versions::<WaitApplied>(),
        versions::<Positions>(),
        versions::<DeliverUsage>(),
        versions::<DeliverUnknown>(),
        versions::<AskVoter>(),
        versions::<TellVoter>(),
        versions::<AskView>(),
        versions::<TellView>(),
        versions::<Claim>(),
        versions::<Share>(),
        versions::<OrderView>(),
        versions::<HoldOn>(),
        versions::<GiveUp>(),
        versions::<Retire>(),
    ];
    assert_eq!(rows.len(), KINDS.len());
    for (kind, [before, now]) in rows {
        let cell = |version: Option<u16>| version.map_or("-".to_owned(), |one| one.to_string());
        let row = format!("` 0x{kind:04x} | {} | {} |", cell(before), cell(now));
        assert!(page.contains(&row), "{row}");
    }
}
