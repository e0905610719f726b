//! The first words on a connection, before anything else may be said: who is there, and whether
//! they may come in (W1, W6, M1). Short, with a bound and a deadline, so that a stranger costs
//! nothing.

use std::io::ErrorKind;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::bulk::{BULK, BulkHello};
use crate::codec::{CodecError, HEAD, decode, encode, head};
use crate::member::Member;

/// How long the first words may take, TLS included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);

const HELLO: u16 = 65_000;
const ANSWER: u16 = 65_001;
/// The shape of the two never changes; what is added comes behind, in messages of its own.
const SHAPE: u16 = 1;
/// The most characters of another's own words that are told.
const WORDS: usize = 300;
/// The most bytes of either.
const LIMIT: usize = 64 * 1024;

/// Who dials, or who welcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The lowest and the highest version of the protocol that it speaks.
    pub(crate) versions: (u16, u16),
    /// The cluster that it belongs to; empty for one that looks for its first.
    pub(crate) cluster: String,
    /// Who it is.
    pub(crate) member: Member,
    /// A number that nobody else knows: what the other's asks on this connection are to bear.
    pub(crate) key: u64,
    /// Whom else it knows.
    pub(crate) known: Vec<Member>,
}

/// What a connection may begin with.
#[derive(Debug)]
pub(crate) enum FirstWords {
    /// A node that would be a member.
    Hello(Hello),
    /// A member's connection for what is large.
    Bulk(BulkHello),
}

/// What a hello is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Welcome(Hello),
    Refused(Refusal),
}

/// Why a node may not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No version of the protocol is common to both.
    #[error("{}", no_common_version(*.lowest, *.highest, *.refused))]
    Version {
        /// The lowest that the one who refuses speaks.
        lowest: u16,
        /// The highest.
        highest: u16,
        /// What the refused one speaks, which either knows without being told.
        #[serde(skip)]
        refused: Option<(u16, u16)>,
    },
    /// It belongs to another cluster.
    #[error(
        "it belongs to another cluster ({0}): start this node with a data directory of its own"
    )]
    Cluster(String),
    /// Another node of that name is alive.
    #[error("a node named {0} is a member already: choose another --node")]
    NameTaken(String),
    /// The node lives in a later incarnation.
    #[error("the same node has been started again since, in incarnation {0}")]
    Superseded(u64),
    /// The node is alive already, with this very identity.
    #[error("the same node runs already: two processes have copies of one data directory")]
    Running,
    /// A fact that does not agree (W6).
    #[error("{0}")]
    Fact(String),
    /// There is a connection between the two already, or one is being made.
    #[error("there is a connection already")]
    Connected,
    /// The other has not joined a cluster itself yet.
    #[error("it has not joined a cluster itself yet")]
    Forming,
    /// Who has its place, its last incarnation (W1) or a rival, may still live.
    #[error(
        "its place may still be that of its last incarnation, or of another node of its name or with other databases"
    )]
    Challenged,
    /// The node has dialed itself.
    #[error("it is this node itself")]
    Itself,
    /// There is no room for a node that nobody knows.
    #[error("it knows as many nodes as it can, or as many strangers: try again")]
    Full,
    /// Its certificate names another node.
    #[error(
        "its certificate is that of node {0}: put back the files that belong together, or join \
         again with a new data directory"
    )]
    Certificate(String),
}

/// Why the first words were not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("not a node of a headgate cluster")]
    Stranger,
    #[error("its first words have {0} bytes, more than any node's")]
    Oversized(usize),
    #[error("{0}")]
    Codec(#[from] CodecError),
}

// === impl Hello ===

impl Hello {
    #[cfg(test)]
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self, HelloError> {
        read(from, HELLO).await
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), HelloError> {
        write(to, HELLO, self).await
    }
}

// === impl FirstWords ===

impl FirstWords {
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self, HelloError> {
        let (kind, bytes) = message(from, &[HELLO, BULK]).await?;
        match kind {
            BULK => Ok(Self::Bulk(decode(BULK, SHAPE, &bytes)?)),
            kind => Ok(Self::Hello(decode(kind, SHAPE, &bytes)?)),
        }
    }
}

// === impl HelloError ===

impl HelloError {
    /// What it is in a word, by which it is told of: one of few, whatever a stranger says.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Io(error) => match error.kind() {
                ErrorKind::UnexpectedEof => "unfinished",
                ErrorKind::InvalidData => "not TLS",
                _ => "connection",
            },
            Self::Stranger => "stranger",
            Self::Oversized(_) | Self::Codec(CodecError::TooLarge) => "oversized",
            Self::Codec(CodecError::Malformed { .. }) => "malformed",
            Self::Codec(CodecError::Unsupported { .. }) => "version",
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Self, HelloError> {
        read(from, ANSWER).await
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), HelloError> {
        write(to, ANSWER, self).await
    }
}

// === impl Refusal ===

impl Refusal {
    /// Whether the refused node had better end than try again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Version { .. }
                | Self::Cluster(_)
                | Self::NameTaken(_)
                | Self::Superseded(_)
                | Self::Running
                | Self::Fact(_)
                | Self::Certificate(_)
        )
    }

    /// What it is in a word, by which it is told of.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::Cluster(_) => "cluster",
            Self::NameTaken(_) => "name",
            Self::Superseded(_) => "superseded",
            Self::Running => "running",
            Self::Fact(_) => "fact",
            Self::Connected => "connected",
            Self::Forming => "forming",
            Self::Challenged => "challenged",
            Self::Itself => "itself",
            Self::Full => "full",
            Self::Certificate(_) => "certificate",
        }
    }

    /// Whether the two cannot both be members.
    pub(crate) const fn is_rivalry(&self) -> bool {
        matches!(self, Self::NameTaken(_) | Self::Fact(_))
    }

    /// As it is told at the one who is refused, which speaks these versions of the protocol: what the
    /// other says in its own words fills no log.
    pub(crate) fn heard_by(self, versions: (u16, u16)) -> Self {
        let cut = |text: String| text.chars().take(WORDS).collect();
        match self {
            Self::Cluster(text) => Self::Cluster(cut(text)),
            Self::NameTaken(text) => Self::NameTaken(cut(text)),
            Self::Fact(text) => Self::Fact(cut(text)),
            Self::Certificate(text) => Self::Certificate(cut(text)),
            Self::Version {
                lowest, highest, ..
            } => Self::Version {
                lowest,
                highest,
                refused: Some(versions),
            },
            other => other,
        }
    }
}

fn no_common_version(lowest: u16, highest: u16, refused: Option<(u16, u16)>) -> String {
    let (from, to) = refused.unwrap_or_default();
    format!(
        "no version of the protocol is common: who refuses speaks {lowest} to {highest}, who is \
         refused {from} to {to}; run a build next to the cluster's"
    )
}

pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    kind: u16,
) -> Result<T, HelloError> {
    let (kind, bytes) = message(from, &[kind]).await?;
    Ok(decode(kind, SHAPE, &bytes)?)
}

/// One message of any of these kinds.
async fn message(
    from: &mut (impl AsyncRead + Unpin),
    kinds: &[u16],
) -> Result<(u16, Vec<u8>), HelloError> {
    let mut bytes = vec![0; HEAD];
    from.read_exact(&mut bytes).await?;
    let (kind, _, length) = head(&bytes).ok_or(HelloError::Stranger)?;
    if !kinds.contains(&kind) {
        return Err(HelloError::Stranger);
    }
    if length > LIMIT {
        return Err(HelloError::Oversized(length));
    }
    bytes.resize(HEAD + length, 0);
    let body = bytes.get_mut(HEAD..).unwrap_or_default();
    from.read_exact(body).await?;
    Ok((kind, bytes))
}

pub(crate) async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    kind: u16,
    value: &T,
) -> Result<(), HelloError> {
    let bytes = encode(kind, SHAPE, value)?;
    if bytes.len() > HEAD + LIMIT {
        return Err(CodecError::TooLarge.into());
    }
    to.write_all(&bytes).await?;
    to.flush().await?;
    Ok(())
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
