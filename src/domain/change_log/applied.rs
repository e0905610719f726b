//! Who has applied a change, as its answer says it (C6, S3).

use serde::{Deserialize, Serialize};

/// Who has applied a change: the header `Headgate-Applied`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Followers that have.
    pub done: u32,
    /// Followers that are registered and not fenced for long.
    pub all: u32,
    /// Those that have not.
    pub missing: Vec<Missing>,
}

/// A follower that has not acknowledged a change in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// What that means.
    pub how: How,
}

/// What it means that a follower has not acknowledged a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// It goes by what was, for a while.
    Behind,
    /// It serves nobody until it has applied the change: its lease is over.
    Fenced,
    /// It may be cut off, and serve by what was as long as it is set to.
    Unreached,
}

// === impl Applied ===

impl Applied {
    /// The same with nodes by the names that operators know; followers go by the ids of theirs. Who has no such name
    /// keeps the id.
    #[must_use]
    pub fn named(mut self, name_of: impl Fn(&str) -> Option<String>) -> Self {
        for missing in &mut self.missing {
            let Some((what, id)) = missing.name.split_once('@') else {
                continue;
            };
            if let Some(name) = name_of(id) {
                missing.name = format!("{what}@{name}");
            }
        }
        self
    }

    /// Nobody was waited for, as was wished (C6).
    #[must_use]
    pub fn not_waited_for() -> Self {
        let missing = Missing {
            name: String::new(),
            how: How::Behind,
        };
        Self {
            missing: vec![missing],
            ..Self::default()
        }
    }

    /// Nobody can say who has applied it.
    #[must_use]
    pub fn unknown() -> Self {
        let missing = Missing {
            name: "change-feed".to_owned(),
            how: How::Unreached,
        };
        Self {
            done: 0,
            all: 1,
            missing: vec![missing],
        }
    }
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No follower is without a name.
        if self.missing.iter().any(|missing| missing.name.is_empty()) {
            return f.write_str("wait=none");
        }
        write!(f, "{}/{}", self.done, self.all)?;
        for (how, word) in [
            (How::Behind, "behind"),
            (How::Fenced, "fenced"),
            (How::Unreached, "unreached"),
        ] {
            let of_this = self.missing.iter().filter(|missing| missing.how == how);
            let names: Vec<_> = of_this.map(|missing| missing.name.as_str()).collect();
            if !names.is_empty() {
                write!(f, "; {word}={}", names.join(","))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_told_by_name_and_by_id_where_no_name_is_known() {
        let missing = |name: &str, how| Missing {
            name: name.to_owned(),
            how,
        };
        let applied = Applied {
            done: 1,
            all: 3,
            missing: vec![
                missing("traffic-manager@a1", How::Behind),
                missing("gateway@b2", How::Unreached),
            ],
        };
        let told = applied.named(|id| (id == "a1").then(|| "tm1".to_owned()));
        assert_eq!(
            told.to_string(),
            "1/3; behind=traffic-manager@tm1; unreached=gateway@b2"
        );
        assert_eq!(Applied::unknown().named(|_| None), Applied::unknown());
        let hasty = Applied::not_waited_for().named(|_| Some("x".to_owned()));
        assert_eq!(hasty.to_string(), "wait=none");
    }
}
