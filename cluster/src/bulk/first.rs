//! The first words of such a connection, frozen like those of the other kind.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::hello::{HelloError, read, write};
use crate::member::Member;

/// What a connection for what is large begins with.
pub(crate) const BULK: u16 = 65_004;
const ANSWER: u16 = 65_005;

/// Who dials, and beside which connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkHello {
    /// Who it is, as its other connection has said.
    pub(crate) member: Member,
    /// What its asks bear on that connection, which nobody else knows.
    pub(crate) bears: u64,
}

/// What that is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BulkAnswer {
    Welcome,
    /// Why not.
    Refused(String),
}

// === impl BulkHello ===

impl BulkHello {
    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), HelloError> {
        write(to, BULK, self).await
    }
}

// === impl BulkAnswer ===

impl BulkAnswer {
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self, HelloError> {
        read(from, ANSWER).await
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), HelloError> {
        write(to, ANSWER, self).await
    }
}
