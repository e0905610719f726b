//! What a node says of itself when others show it to operators.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::door::{Door, Request};
use crate::members::MemberState;

/// Asks a node what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskAbout;

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The version that it runs.
    pub version: String,
    /// The lowest and the highest version of the protocol that it speaks.
    pub protocol: (u16, u16),
}

impl About {
    /// The versions of the protocol, in a word: `2-3`, or `2`.
    #[must_use]
    pub fn protocol_text(&self) -> String {
        match self.protocol {
            (lowest, highest) if lowest == highest => lowest.to_string(),
            (lowest, highest) => format!("{lowest}-{highest}"),
        }
    }
}

impl Request for AskAbout {
    type Reply = About;
    const KIND: u16 = 65_011;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
}

impl Cluster {
    /// Tells others from now on what this node is.
    pub fn tell_about(&self, about: About) {
        let _ = self.0.about.set(about.clone());
        self.serve(Door::<AskAbout>::answering(move |_| about.clone()));
    }

    /// What others are told of this node.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.0.about.get()
    }

    /// All others that this node knows, and what each of them says of itself; none of who does not
    /// answer within `deadline`. They are asked side by side.
    pub async fn about_members(&self, deadline: Duration) -> Vec<(MemberState, Option<About>)> {
        let told = self.ask_members(&AskAbout, deadline).await;
        told.into_iter()
            .map(|(state, about)| (state, about.ok()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;
    use crate::golden_tests::written;
    use crate::protocol::{read_reply, write_reply};

    #[test]
    fn what_a_node_says_of_itself_keeps_its_bytes() {
        let hex =
            |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let asked = encode(AskAbout::KIND, AskAbout::VERSION, &AskAbout).unwrap();
        assert_eq!(hex(asked.clone()), "fdf3000200000000");
        let about = About {
            version: "1.2".to_owned(),
            protocol: (1, 2),
        };
        let told = write_reply::<AskAbout>(&asked, &about).unwrap();
        assert_eq!(hex(told.clone()), "fdf300020000000603312e320102");
        assert_eq!(read_reply::<AskAbout>(&told).unwrap(), about);
        assert_eq!(
            written(AskAbout::KIND, AskAbout::VERSION, &about),
            hex(told)
        );
    }
}
