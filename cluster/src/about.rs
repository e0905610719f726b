//! What a node says of itself when others show it to operators.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Parcel, ask_on};
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
}

impl Request for AskAbout {
    type Reply = About;
    const KIND: u16 = 65_011;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Cluster {
    /// Tells others from now on what this node is.
    pub fn tell_about(&self, about: About) {
        self.serve(Door::<AskAbout>::answering(move |_| about.clone()));
    }

    /// All others that this node knows, and what each of them says of itself; none of who does not
    /// answer within `deadline`. They are asked side by side.
    pub async fn about_members(&self, deadline: Duration) -> Vec<(MemberState, Option<About>)> {
        let mut asked = JoinSet::new();
        let seen = self.0.view.load().seen.clone();
        for (at, one) in seen.iter().enumerate() {
            if let (Some(path), Ok(parcel)) = (one.path.clone(), Parcel::of(&AskAbout)) {
                asked.spawn(
                    async move { (at, ask_on::<AskAbout>(&path, parcel, deadline).await.ok()) },
                );
            }
        }
        let mut told: Vec<_> = seen.into_iter().map(|one| (one.state, None)).collect();
        while let Some(answer) = asked.join_next().await {
            if let Ok((at, about)) = answer
                && let Some((_, known)) = told.get_mut(at)
            {
                *known = about;
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;

    #[test]
    fn what_a_node_says_of_itself_keeps_its_bytes() {
        let hex =
            |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let asked = encode(AskAbout::KIND, 1, &AskAbout).unwrap();
        assert_eq!(hex(asked), "fdf3000100000000");
        let about = About {
            version: "1.2".to_owned(),
        };
        let told = encode(AskAbout::KIND, 1, &about).unwrap();
        assert_eq!(hex(told), "fdf300010000000403312e32");
    }
}
