//! The HTTP methods that a resource of an API can have, and sets of them.
//!
//! The publisher writes them on operations, the gateway matches requests against them. `TRACE`
//! and `CONNECT` are no verbs here: WSO2 offers neither on resources.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A method of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verb {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `PATCH`
    Patch,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
}

/// A set of verbs; iterates in the order of [`Verb::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerbSet(u8);

// === impl Verb ===

impl Verb {
    /// Every verb, in the order in which they are listed to people.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Patch,
        Self::Head,
        Self::Options,
    ];

    /// The verb of an HTTP method name. Methods are case-sensitive (RFC 9110 §9.1).
    pub fn from_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == method)
    }

    /// The verb of a path item's member (`get`, `post` …), written in lower case as OpenAPI asks.
    pub fn from_member(member: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.member() == member)
    }

    /// The method name, in upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }

    /// The name of a path item's member.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Patch => "patch",
            Self::Head => "head",
            Self::Options => "options",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl VerbSet ===

impl VerbSet {
    /// Adds a verb.
    pub const fn insert(&mut self, verb: Verb) {
        self.0 |= verb.bit();
    }

    /// Adds every verb of another set.
    pub const fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the verb is in the set.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & verb.bit() != 0
    }

    /// Whether the set has no verb.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The verbs of the set.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL
            .into_iter()
            .filter(move |verb| self.contains(*verb))
    }
}

impl FromIterator<Verb> for VerbSet {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        let mut set = Self::default();
        for verb in verbs {
            set.insert(verb);
        }
        set
    }
}

/// As the `Allow` header writes it (RFC 9110 §10.2.1).
impl fmt::Display for VerbSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, verb) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            f.write_str(verb.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_and_members_are_lower_case() {
        assert_eq!(Verb::from_method("GET"), Some(Verb::Get));
        assert_eq!(Verb::from_method("get"), None);
        assert_eq!(Verb::from_member("patch"), Some(Verb::Patch));
        assert_eq!(Verb::from_member("PATCH"), None);
        assert_eq!(Verb::from_method("TRACE"), None);
    }

    #[test]
    fn a_set_prints_as_the_allow_header() {
        let set: VerbSet = [Verb::Options, Verb::Get, Verb::Post].into_iter().collect();
        assert_eq!(set.to_string(), "GET, POST, OPTIONS");
        assert!(set.contains(Verb::Get) && !set.contains(Verb::Put));
        assert!(VerbSet::default().is_empty());
    }
}
