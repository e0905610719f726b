//! How the nodes of a test speak with each other: what is promised of a cluster is promised of both ways.

use crate::cluster::{CONTROL, options};
use crate::cluster_tls::{joining, over_tls, token};
use crate::support::node::{Node, Options};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    Clear,
    MutualTls,
}

impl Speech {
    /// The control plane that begins a cluster.
    pub fn founder(self) -> Options {
        match self {
            Self::Clear => options("cp1", CONTROL, ""),
            Self::MutualTls => over_tls("cp1", CONTROL, ""),
        }
    }

    /// A node that joins it.
    pub fn joiner(self, founder: &Node, seed: &str, name: &str, roles: &str) -> Options {
        match self {
            Self::Clear => options(name, roles, seed),
            // The token names where the founder is reached.
            Self::MutualTls => joining(name, roles, &token(founder)),
        }
    }
}
