//! What a newcomer and a member say to each other: frozen, as all that crosses nodes (M1).

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::hello::{HelloError, read, write};

const ASK: u16 = 65_002;
const ANSWER: u16 = 65_003;

/// A newcomer's request. Its secret is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAsk {
    /// What the token is found by.
    pub token: String,
    /// What it is believed by.
    pub secret: [u8; 32],
    /// The cluster that the node belongs to; empty for one that looks for its first.
    pub cluster: String,
    /// Its stable id, which the certificate will name.
    pub id: String,
    /// What operators call it.
    pub name: String,
    /// What it does.
    pub roles: Vec<String>,
    /// A request to sign (PKCS#10, DER): the key itself stays where it was made.
    pub request: Vec<u8>,
}

/// What a newcomer gets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The authority's certificate, DER.
    pub authority: Vec<u8>,
    /// The authority's key, for a node that is to admit others.
    pub authority_key: Option<Vec<u8>>,
}

/// Why a newcomer gets nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NotAdmitted {
    /// Nobody knows the token.
    #[error(
        "the token is not known there: it was used already, or its node has lost it; make \
         another one with headgate cluster token"
    )]
    Unknown,
    /// It came too late.
    #[error("the token has expired: make another one with headgate cluster token")]
    Expired,
    /// The node is another cluster's.
    #[error(
        "this node belongs to another cluster ({0}): start it with a data directory of its own"
    )]
    Cluster(String),
    /// A node of that id is connected.
    #[error("the node {0} runs already: two processes have copies of one data directory")]
    Running(String),
    /// What was asked for makes no sense.
    #[error("the request cannot be signed")]
    Malformed,
    /// The member cannot say.
    #[error(
        "the member cannot look at its tokens, or at who was forgotten, now, see its log; the token may be good still: try \
         again"
    )]
    Unavailable,
    /// The token is for nodes with other roles.
    #[error(
        "the token is for nodes with these roles alone: {0}; make another one with headgate cluster \
         token --roles"
    )]
    Roles(String),
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Admitted(Admitted),
    Refused(NotAdmitted),
}

// === impl NotAdmitted ===

impl NotAdmitted {
    /// What it is in a word, by which it is told of.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown token",
            Self::Expired => "expired token",
            Self::Cluster(_) => "cluster",
            Self::Running(_) => "running",
            Self::Malformed => "malformed request",
            Self::Unavailable => "unavailable",
            Self::Roles(_) => "roles",
        }
    }
}

// === impl JoinAsk, Admitted ===

impl fmt::Debug for JoinAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinAsk")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}

/// Hears what a newcomer asks.
pub(crate) async fn heard(from: &mut (impl AsyncRead + Unpin)) -> Result<JoinAsk, HelloError> {
    read(from, ASK).await
}

/// Answers a newcomer.
pub(crate) async fn answer(
    to: &mut (impl AsyncWrite + Unpin),
    answer: Result<Admitted, NotAdmitted>,
) -> Result<(), HelloError> {
    let answer = match answer {
        Ok(admitted) => Answer::Admitted(admitted),
        Err(refused) => Answer::Refused(refused),
    };
    write(to, ANSWER, &answer).await
}

/// Asks a member.
pub(super) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ask: &JoinAsk,
) -> Result<Result<Admitted, NotAdmitted>, HelloError> {
    write(stream, ASK, ask).await?;
    Ok(match read(stream, ANSWER).await? {
        Answer::Admitted(admitted) => Ok(admitted),
        Answer::Refused(refused) => Err(refused),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decode;
    use crate::golden_tests::written;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn what_newcomers_say_and_hear_keeps_its_bytes() {
        let ask = JoinAsk {
            token: "t".to_owned(),
            secret: [9; 32],
            cluster: String::new(),
            id: "i".to_owned(),
            name: "n".to_owned(),
            roles: vec!["r".to_owned()],
            request: vec![1, 2],
        };
        let mut bytes = Vec::new();
        write(&mut bytes, ASK, &ask).await.unwrap();
        let secret = "09".repeat(32);
        let expected = format!("fdea00010000002d0174{secret}000169016e010172020102");
        assert_eq!(hex(&bytes), expected);
        assert_eq!(heard(&mut &bytes[..]).await.unwrap(), ask);
        let admitted = Admitted {
            certificate: vec![1],
            authority: vec![2],
            authority_key: Some(vec![3]),
        };
        for (said, body) in [
            (Ok(admitted), "0001010102010103"),
            (Err(NotAdmitted::Unknown), "0100"),
            (Err(NotAdmitted::Expired), "0101"),
            (Err(NotAdmitted::Cluster("c".to_owned())), "01020163"),
            (Err(NotAdmitted::Running("i".to_owned())), "01030169"),
            (Err(NotAdmitted::Malformed), "0104"),
            (Err(NotAdmitted::Unavailable), "0105"),
            (Err(NotAdmitted::Roles("r".to_owned())), "01060172"),
        ] {
            let mut bytes = Vec::new();
            answer(&mut bytes, said).await.unwrap();
            let expected = format!("fdeb0001{:08x}{body}", body.len() / 2);
            assert_eq!(hex(&bytes), expected);
            let told: Answer = decode(ANSWER, 1, &bytes).unwrap();
            assert_eq!(written(ANSWER, 1, &told), expected);
        }
    }
}
