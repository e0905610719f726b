use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Sample {
    Nothing,
    Text(String, Option<i64>),
    Many { items: Vec<(u16, String)>, on: bool },
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        Just(Sample::Nothing),
        (".*", any::<Option<i64>>()).prop_map(|(text, number)| Sample::Text(text, number)),
        (
            prop::collection::vec((any::<u16>(), ".*"), 0..20),
            any::<bool>()
        )
            .prop_map(|(items, on)| Sample::Many { items, on }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in sample(), kind: u16, version: u16) {
        let bytes = encode(kind, version, &value).unwrap();
        prop_assert_eq!(decode::<Sample>(kind, version, &bytes), Ok(value));
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut framed = vec![0, 1, 0, 1];
        framed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        framed.extend(&body);
        for bytes in [&body, &framed] {
            if let Ok(value) = decode::<Sample>(1, 1, bytes) {
                prop_assert!(encode(1, 1, &value).is_ok());
            }
        }
    }

    #[test]
    fn a_cut_or_lengthened_message_is_refused(value in sample(), extra in 1_usize..9) {
        let mut bytes = encode(1, 1, &value).unwrap();
        prop_assert!(decode::<Sample>(1, 1, &bytes[..bytes.len() - 1]).is_err());
        bytes.extend(vec![0; extra]);
        prop_assert!(decode::<Sample>(1, 1, &bytes).is_err());
        // Also when the envelope owns up to the extra bytes.
        let length = u32::try_from(bytes.len() - 8).unwrap();
        bytes[4..8].copy_from_slice(&length.to_be_bytes());
        prop_assert!(decode::<Sample>(1, 1, &bytes).is_err());
    }
}

#[test]
fn hostile_lengths_are_refused() {
    for length in [u64::from(u32::MAX), u64::MAX, 1 << 40] {
        let mut body = vec![253];
        body.extend(length.to_le_bytes());
        let mut bytes = vec![0, 1, 0, 1];
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(&body);
        assert!(decode::<Vec<u64>>(1, 1, &bytes).is_err());
        assert!(decode::<String>(1, 1, &bytes).is_err());
    }
}

#[test]
fn a_message_beyond_the_limit_is_neither_written_nor_read() {
    let large = vec![7_u8; MESSAGE_LIMIT + 1];
    assert_eq!(encode(1, 1, &large), Err(CodecError::TooLarge));
    let mut bytes = vec![0, 1, 0, 1];
    bytes.extend(u32::try_from(large.len()).unwrap().to_be_bytes());
    bytes.extend(&large);
    assert_eq!(decode::<Vec<u8>>(1, 1, &bytes), Err(CodecError::TooLarge));
}

#[test]
fn another_kind_or_version_is_unsupported() {
    let bytes = encode(3, 1, &true).unwrap();
    let unsupported = CodecError::Unsupported {
        kind: 3,
        version: 1,
    };
    assert_eq!(decode::<bool>(3, 2, &bytes), Err(unsupported.clone()));
    assert_eq!(decode::<bool>(4, 1, &bytes), Err(unsupported));
}
