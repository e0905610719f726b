//! What is sent and kept has these bytes for ever.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{decode, encode};
use crate::door::Request;
use crate::golden_tests::written;
use crate::mutants::each_mutant;
use crate::register::AskRegister;
use crate::register::voter_id::VoterId;
use crate::register::words::{
    AppendWord, ContentWord, EntryWord, MembershipWord, OrderWord, PlaceWord, Said, SnapshotWord,
    Told, VoteWord, read, write,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn golden<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(word: T, bytes: &str) {
    let written = write(&word).unwrap();
    assert_eq!(hex(&written), bytes, "{word:?}");
    assert_eq!(read::<T>(&written).unwrap(), word);
    // What nearly is one is none, or is no larger than what came.
    each_mutant(&[&written[8..]], 200, |body| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let framed = [&written[..4], &length, body].concat();
        if let Ok(read) = read::<T>(&framed) {
            assert!(write(&read).unwrap().len() <= framed.len(), "{read:?}");
        }
    });
}

fn vote() -> VoteWord {
    VoteWord {
        term: 7,
        voted_for: Some(VoterId(1)),
        is_committed: true,
    }
}

fn voters() -> MembershipWord {
    let set = |numbers: &[u128]| {
        numbers
            .iter()
            .map(|one| VoterId(*one))
            .collect::<BTreeSet<_>>()
    };
    MembershipWord {
        sets: vec![set(&[1]), set(&[1, 2, 3])],
        nodes: set(&[1, 2, 3, u128::MAX]),
    }
}

#[test]
fn what_a_voter_keeps_has_these_bytes() {
    golden(PlaceWord(7, 300), "fdf400010000000407fb2c01");
    golden(vote(), "fdf400010000000407010101");
    let entry = |content| EntryWord {
        at: PlaceWord(7, 9),
        content,
    };
    golden(entry(ContentWord::Blank), "fdf4000100000003070900");
    golden(
        entry(ContentWord::Proposed(b"ab".to_vec())),
        "fdf4000100000006070901026162",
    );
    golden(
        entry(ContentWord::Voters(voters())),
        "fdf400010000001f0709020201010301020304010203feffffffffffffffffffffffffffffffff",
    );
    let snapshot = SnapshotWord {
        at: Some(PlaceWord(7, 9)),
        voters_at: Some(PlaceWord(1, 0)),
        voters: voters(),
        id: "7.9".to_owned(),
        value: b"ab".to_vec(),
    };
    golden(
        snapshot,
        "fdf40001000000290107090101000201010301020304010203feffffffffffffffffffffffffffffffff03372e39026162",
    );
}

#[test]
fn what_voters_say_has_these_bytes() {
    golden(
        Said::Vote(vote(), Some(PlaceWord(6, 9))),
        "fdf40001000000080007010101010609",
    );
    let entry = EntryWord {
        at: PlaceWord(7, 10),
        content: ContentWord::Blank,
    };
    let append = Said::Append {
        vote: vote(),
        after: Some(PlaceWord(6, 9)),
        entries: vec![entry],
        committed: None,
    };
    golden(append, "fdf400010000000d010701010101060901070a0000");
    let snapshot = SnapshotWord {
        at: None,
        voters_at: None,
        voters: voters(),
        id: String::new(),
        value: Vec::new(),
    };
    golden(
        Said::Snapshot(vote(), snapshot),
        "fdf4000100000025020701010100000201010301020304010203feffffffffffffffffffffffffffffffff0000",
    );
    golden(Said::Propose(b"ab".to_vec()), "fdf400010000000403026162");
    golden(
        Said::ChangeVoters(BTreeSet::from([VoterId(2)])),
        "fdf4000100000003040102",
    );
}

#[test]
fn what_voters_answer_has_these_bytes() {
    golden(
        Told::Vote(vote(), None, false),
        "fdf400010000000700070101010000",
    );
    golden(Told::Append(AppendWord::Success), "fdf40001000000020100");
    golden(
        Told::Append(AppendWord::Partly(Some(PlaceWord(6, 9)))),
        "fdf40001000000050101010609",
    );
    golden(Told::Append(AppendWord::Conflict), "fdf40001000000020102");
    golden(
        Told::Append(AppendWord::Higher(vote())),
        "fdf4000100000006010307010101",
    );
    golden(Told::Snapshot(vote()), "fdf40001000000050207010101");
    golden(
        Told::Order(Ok(PlaceWord(7, 10))),
        "fdf40001000000040300070a",
    );
    let refused = [
        (
            OrderWord::NotLeader(Some(VoterId(2))),
            "fdf40001000000050301000102",
        ),
        (OrderWord::Unanswered, "fdf4000100000003030101"),
        (OrderWord::UnderWay, "fdf4000100000003030102"),
        (OrderWord::Unreached(VoterId(2)), "fdf400010000000403010302"),
        (
            OrderWord::Failed("no".to_owned()),
            "fdf4000100000006030104026e6f",
        ),
    ];
    for (word, bytes) in refused {
        golden(Told::Order(Err(word)), bytes);
    }
    golden(Told::Failed("no".to_owned()), "fdf400010000000404026e6f");
}

#[test]
fn what_crosses_nodes_has_these_bytes() {
    let asked = AskRegister {
        said: vec![1, 2, 3],
    };
    let bytes = encode(AskRegister::KIND, AskRegister::VERSION, &asked).unwrap();
    assert_eq!(hex(&bytes), "fdf4000100000004".to_owned() + "03010203");
    let tried = written(AskRegister::KIND, AskRegister::VERSION, &asked);
    assert_eq!(tried, hex(&bytes));
    let read = decode::<AskRegister>(AskRegister::KIND, AskRegister::VERSION, &bytes);
    assert_eq!(read.unwrap(), asked);
}
