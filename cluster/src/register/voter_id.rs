//! How openraft calls a node: by the number that its stable id is. An id is a UUID, so two nodes never share one, and
//! a text that is no UUID in its usual form votes nowhere. The one of zeros is nobody's.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A node's stable id as a number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct VoterId(pub(crate) u128);

// === impl VoterId ===

impl VoterId {
    /// The number of this id; none where the id would not be found again from it.
    pub(crate) fn of(id: &str) -> Option<Self> {
        let number = Uuid::parse_str(id).ok()?;
        let voter = Self(number.as_u128());
        (!number.is_nil() && voter.to_string() == id).then_some(voter)
    }
}

impl fmt::Display for VoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for VoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As openraft's own test of stores makes them.
#[cfg(test)]
impl From<u64> for VoterId {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_again_from_its_number_and_what_is_none_votes_nowhere() {
        let id = "0190a5c2-7d1e-7b3a-9c44-1f2e3d4c5b6a";
        assert_eq!(VoterId::of(id).unwrap().to_string(), id);
        for other in [
            "gw1",
            "",
            "0190A5C2-7D1E-7B3A-9C44-1F2E3D4C5B6A",
            "0190a5c27d1e7b3a9c441f2e3d4c5b6a",
            "00000000-0000-0000-0000-000000000000",
            "{0190a5c2-7d1e-7b3a-9c44-1f2e3d4c5b6a}",
        ] {
            assert_eq!(VoterId::of(other), None, "{other}");
        }
    }
}
