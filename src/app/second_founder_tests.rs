//! A node that was the second to found a cluster over TLS (W1): it makes no authority, however often it starts, and
//! goes over to the first one's cluster with a token.

use std::path::Path;
use std::time::Duration;

use cluster::{Clock, JoinToken, Root, System};
use storage::carbon::identity::{self as kept, Identity};
use storage::carbon::join_tokens;
use tokio::net::TcpListener;

use super::credential_files::{AUTHORITY, CredentialFiles, NODE};
use super::databases::{Control, Databases};
use super::membership::Membership;
use super::{admission, founding, identity};
use crate::config::{Config, Flags};
use crate::data_dir::DataDir;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// What a node starts on.
struct Begun {
    data: DataDir,
    databases: Databases,
}

fn config(directory: &Path, name: &str, join: Option<String>) -> Config {
    let flags = Flags {
        data_dir: Some(directory.display().to_string()),
        node: Some(name.to_owned()),
        join,
        ..Flags::default()
    };
    let tls = ("HEADGATE__CLUSTER__TLS".into(), "always".into());
    Config::load(&flags, [tls].into_iter()).unwrap()
}

impl Begun {
    /// One that has noted `cluster` as its own, if any, and not yet in API-M.
    async fn open(directory: &Path, control: Option<Control>, cluster: &str) -> Self {
        let data = DataDir::open(directory).unwrap();
        let config = config(data.path(), "new", None);
        let mut databases = Databases::open(&config, &data).await.unwrap();
        databases.control = control.or(databases.control);
        identity::raise(&databases, &config.node, 1).await.unwrap();
        founding::keep(&databases.carbon, cluster).await.unwrap();
        Self { data, databases }
    }

    async fn start(
        &self,
        name: &str,
        join: Option<&JoinToken>,
    ) -> anyhow::Result<(Membership, Root)> {
        let config = config(self.data.path(), name, join.map(JoinToken::to_text));
        let system = System::new(Clock::system(), true);
        let now_ms = system.clock.now_ms();
        let me = identity::raise(&self.databases, &config.node, now_ms).await?;
        let port = Some(TcpListener::bind("127.0.0.1:0").await?);
        let place = (&self.data, &self.databases);
        let membership = Membership::describe(&system, &config, place, &me, port).await?;
        let children = membership.node.clone().map(|(_, child)| child);
        let tree = cluster::start_root(&system, children.into_iter().collect()).await;
        Ok((membership, tree.unwrap()))
    }

    async fn me(&self) -> Identity {
        let mut read = self.databases.carbon.read().await.unwrap();
        kept::find(&mut read).await.unwrap().unwrap()
    }

    /// As `headgate cluster token` gives one.
    async fn token(&self, membership: &Membership) -> JoinToken {
        let authority = CredentialFiles::of(self.data.path()).authority();
        let authority = authority.unwrap().unwrap();
        let address = membership.address().unwrap();
        let token = JoinToken::generate(&address, authority.fingerprint()).unwrap();
        let row = join_tokens::JoinToken {
            id: token.id.clone(),
            secret_hash: JoinToken::hash(&token.secret),
            expires_ms: i64::MAX,
            roles: String::new(),
        };
        let carbon = &self.databases.carbon;
        admission::keep_token(carbon, &row, 1).await.unwrap();
        token
    }
}

#[tokio::test]
async fn whoever_was_second_to_found_over_tls_makes_no_authority_and_joins_with_a_token() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Begun::open(one.path(), None, "first").await;
    let control = first.databases.control.clone();
    let second = Begun::open(two.path(), control, "second").await;
    let (member, tree) = first.start("cp1", None).await.unwrap();
    for _ in 0..2 {
        let refused = second.start("cp2", None).await.err().unwrap().to_string();
        assert!(
            refused.contains("another node founds a cluster"),
            "{refused}"
        );
        for file in [AUTHORITY, NODE] {
            assert!(!second.data.join(file).exists(), "{file}");
        }
        // So the next start knows as well.
        assert_eq!(second.me().await.cluster_id, "second");
    }
    let token = first.token(&member).await;
    let (_, other) = second.start("cp2", Some(&token)).await.unwrap();
    assert_eq!(second.me().await.cluster_id, "first");
    let authority = |node: &Begun| {
        let held = CredentialFiles::of(node.data.path()).authority().unwrap();
        held.unwrap().fingerprint()
    };
    assert_eq!(authority(&second), authority(&first));
    // That it is a member is seen elsewhere: files, which stand here for a server's databases, are one node's alone.
    for tree in [other, tree] {
        tree.stop(LONG).await;
    }
}
