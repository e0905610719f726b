//! Which of the virtual shards a key belongs to: pure, and the same on every node and in every
//! version that shares a cluster (M1).

pub(super) use domain::ledger::SHARDS;

use super::message::ThrottleKey;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The shard of a key: FNV-1a over its parts, folded.
#[must_use]
pub fn shard_of(key: &ThrottleKey) -> u16 {
    let limit = key.limit.to_be_bytes();
    let parts: [&[u8]; 5] = [
        key.tenant.as_bytes(),
        key.level.as_str().as_bytes(),
        key.policy.as_bytes(),
        &limit,
        key.subject.as_bytes(),
    ];
    let mut hash = FNV_OFFSET;
    for part in parts {
        // The byte 255 occurs in no text: it keeps "ab" + "c" and "a" + "bc" apart.
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }
    let folded = (hash ^ (hash >> 32)) % u64::from(SHARDS);
    u16::try_from(folded).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::policy::PolicyLevel;

    fn key(subject: &str) -> ThrottleKey {
        ThrottleKey {
            tenant: "carbon.super".to_owned(),
            level: PolicyLevel::Subscription,
            policy: "Gold".to_owned(),
            limit: 0,
            subject: subject.to_owned(),
        }
    }

    #[test]
    fn keys_spread_over_all_shards_and_stay_where_they_are() {
        let mut counts = vec![0; usize::from(SHARDS)];
        for number in 0..25_600 {
            counts[usize::from(shard_of(&key(&format!("app{number}"))))] += 1;
        }
        assert!(counts.iter().all(|count| (40..200).contains(count)));
        // Golden: another number means that nodes of two versions would disagree.
        assert_eq!(shard_of(&key("app:api")), 116);
    }
}
