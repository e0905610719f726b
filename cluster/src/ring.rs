//! Who of several is responsible for a key (L1): rendezvous hashing, pure. The hash never changes:
//! nodes of two versions must agree.

/// The one of `ids` that is responsible for `key`; none when there are none. A member that goes
/// moves only what was its own, one that comes takes only what becomes its own.
#[must_use]
pub fn rendezvous<'a>(key: u64, ids: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    ids.into_iter().max_by_key(|id| (weight(key, id), *id))
}

/// How much the node with this id wants a key: the most wants it, the second stands by.
#[must_use]
pub fn rank(key: u16, id: &str) -> u64 {
    weight(key.into(), id)
}

/// FNV-1a over the key and the id, then mixed so that every bit counts.
fn weight(key: u64, id: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.to_be_bytes().into_iter().chain(id.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(ids: &[&str]) -> Vec<String> {
        let owner = |key| rendezvous(key, ids.iter().copied()).unwrap().to_owned();
        (0..256).map(owner).collect()
    }

    #[test]
    fn every_version_agrees_on_who_is_responsible() {
        assert_eq!(weight(7, "n1"), 0xfd9d_fc4d_04dd_1320);
        assert_eq!(rendezvous(0, []), None);
    }

    #[test]
    fn whoever_comes_or_goes_moves_only_what_is_its_own() {
        let (two, three) = (owners(&["a", "b"]), owners(&["a", "b", "c"]));
        let moved = two.iter().zip(&three).filter(|(old, new)| old != new);
        assert!(moved.clone().all(|(_, new)| new == "c"));
        assert!((50..120).contains(&moved.count()));
        assert_eq!(two, owners(&["b", "a"]), "whatever the order");
    }

    #[test]
    fn shares_are_alike() {
        let all = owners(&["tm1", "tm2", "tm3"]);
        for id in ["tm1", "tm2", "tm3"] {
            let share = all.iter().filter(|owner| *owner == id).count();
            assert!((60..115).contains(&share), "{id} has {share} of 256");
        }
    }
}
