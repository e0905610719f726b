//! How this node speaks with others: in the clear, or by a certificate that it has, that it makes as
//! the founder of a cluster, or that it gets for a token.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use cluster::{
    Admission, Authority, Clock, Cluster, Credentials, JoinAsk, JoinToken, NewKey, Security,
};
use storage::carbon::identity::{self, Identity};
use storage::carbon::known_members;
use storage::{Database, StoreError};

use super::admission::{Admits, Admitter, Turns};
use super::credential_files::{AUTHORITY, CredentialFiles, NODE};
use super::databases::Databases;
use super::founding;
use super::renewal::Renewal;
use crate::config::{Config, Tls};
use crate::data_dir::DataDir;

/// A certificate that ends within this time is renewed by whoever can, seconds.
pub(super) const SOON: i64 = 30 * 24 * 60 * 60;
/// What to do without a certificate.
const JOIN: &str = "start it with --join TOKEN (or HEADGATE__CLUSTER__JOIN, or cluster.join_file), of \
                    headgate cluster token on a node of the control plane";

/// What was decided.
pub(super) struct Secured {
    pub(super) security: Security,
    /// The cluster that the certificate is of.
    pub(super) cluster: Option<String>,
    /// The certificate, and by what it is renewed; none in the clear.
    pub(super) renewal: Option<Renewal>,
}

/// What is decided by.
pub(super) struct Place<'a> {
    pub(super) data: &'a DataDir,
    pub(super) config: &'a Config,
    pub(super) databases: &'a Databases,
    pub(super) me: &'a Identity,
    pub(super) cluster: &'a Cluster,
    pub(super) clock: &'a Clock,
    pub(super) listen: SocketAddr,
}

/// What lies in the data directory.
enum Held {
    Nothing,
    Good(Credentials),
    /// Good, and to be renewed by whoever can: not for long, or without a name that is wanted now.
    Ending(Credentials),
    /// Why it is of no use.
    Useless(String),
}

// === impl Place ===

impl Place<'_> {
    /// Decides, and makes or fetches what is missing.
    pub(super) async fn secure(&self) -> anyhow::Result<Secured> {
        let files = CredentialFiles::of(self.data.path());
        let mut authority = match self.may_admit() {
            true => files.authority()?,
            false => None,
        };
        let held = self.held(&files, authority.as_ref())?;
        let join = self.token(&held, authority.is_some())?;
        let credentials = match (held, &authority, join.as_ref()) {
            // Also where a role of the control plane was added, and the key is missing for it.
            (Held::Good(held), _, None) => held,
            (Held::Good(held), held_authority, Some(_))
                if held_authority.is_some() || !self.may_admit() =>
            {
                tracing::info!(
                    "this node has a certificate of its cluster: the join token is ignored"
                );
                held
            }
            (_, Some(authority), _) => self.sign_own(authority, &files)?,
            // It may have been there since the node joined; the certificate is good as yet.
            (Held::Ending(held), None, Some(token)) => match self.join(token, &files).await {
                Ok((credentials, received)) => {
                    authority = received;
                    credentials
                }
                Err(error) => {
                    tracing::warn!("{NODE} ends within a month, and it is not renewed: {error:#}");
                    held
                }
            },
            (_, None, Some(token)) => {
                let (credentials, received) = self.join(token, &files).await?;
                authority = received;
                credentials
            }
            (Held::Ending(held), None, None) => {
                tracing::info!(
                    "{NODE} ends within a month: it is renewed by a node of the control plane"
                );
                held
            }
            (Held::Useless(why), None, None) => bail!("{NODE} {why}: {JOIN}"),
            (Held::Nothing, None, None) => {
                if !self.wants_tls() {
                    let anywhere = self.config.cluster.plaintext;
                    return Ok(Secured {
                        security: Security::Plain { anywhere },
                        cluster: None,
                        renewal: None,
                    });
                }
                let founded = self.found(&files).await?;
                let credentials = self.sign_own(&founded, &files)?;
                authority = Some(founded);
                credentials
            }
        };
        self.speak(&credentials, authority)
    }

    /// The token to join by: as it is given, or out of its file where one is needed. What is left in a file that was used
    /// before is in nobody's way.
    fn token(&self, held: &Held, signs: bool) -> anyhow::Result<Option<JoinToken>> {
        let settings = &self.config.cluster;
        if settings.join.is_some() {
            return Ok(settings.join.clone());
        }
        match held {
            Held::Good(_) | Held::Ending(_) => Ok(None),
            Held::Nothing | Held::Useless(_) if signs => Ok(None),
            Held::Nothing | Held::Useless(_) => {
                settings.token_of_file().map_err(anyhow::Error::msg)
            }
        }
    }

    fn speak(
        &self,
        credentials: &Credentials,
        authority: Option<Authority>,
    ) -> anyhow::Result<Secured> {
        let (mine, theirs) = (&self.me.cluster_id, credentials.cluster());
        ensure!(
            mine.is_empty() || mine == theirs,
            "carbon.db is of cluster {mine} and {NODE} of cluster {theirs}: put back the files that \
             belong together"
        );
        // Whoever may hold the authority has the control plane's databases.
        let admits = authority.zip(self.databases.control.as_ref());
        let admits = admits.map(|(authority, control)| {
            Arc::new(Admits {
                authority,
                carbon: self.databases.carbon.clone(),
                apim: control.apim.clone(),
                cluster: self.cluster.clone(),
                clock: self.clock.clone(),
                turns: Turns::default(),
            })
        });
        if let Some(admits) = admits.clone() {
            self.cluster.renew_certificates(move |asked| {
                let admits = Arc::clone(&admits);
                async move { admits.renew(&asked).await }
            });
        }
        let admission = admits.clone();
        let admission = admission.map(|admits| Arc::new(Admitter(admits)) as Arc<dyn Admission>);
        let shown = credentials.mutual(admission)?;
        Ok(Secured {
            security: Security::Mutual(shown.clone()),
            cluster: Some(theirs.to_owned()),
            renewal: Some(Renewal { shown, admits }),
        })
    }

    /// Whether this node may hold the authority's key.
    fn may_admit(&self) -> bool {
        let roles = &self.config.node.roles;
        roles.iter().any(|role| role.is_control_plane())
    }

    fn wants_tls(&self) -> bool {
        let settings = &self.config.cluster;
        match settings.tls {
            Tls::Always => true,
            Tls::Auto => !settings.plaintext && !self.listen.ip().to_canonical().is_loopback(),
        }
    }

    fn held(&self, files: &CredentialFiles, authority: Option<&Authority>) -> anyhow::Result<Held> {
        let now = self.clock.now_ms().div_euclid(1_000);
        Ok(match files.credentials()? {
            None => Held::Nothing,
            Some(Err(error)) => Held::Useless(error.to_string()),
            Some(Ok(held)) if held.node() != self.me.node_id => {
                Held::Useless(format!("is that of node {}", held.node()))
            }
            Some(Ok(held))
                if authority.is_some_and(|authority| !held.is_under(authority.certificate())) =>
            {
                Held::Useless(format!("is not under {AUTHORITY}"))
            }
            Some(Ok(held)) if held.ends() <= now => {
                Held::Useless(format!("has ended {} s ago", now - held.ends()))
            }
            Some(Ok(held)) if held.ends() <= now + SOON => Held::Ending(held),
            // Of a former build, or of a node that joined as another: newcomers would not know it.
            Some(Ok(held)) if authority.is_some() && !held.admits() => Held::Ending(held),
            Some(Ok(held)) => Held::Good(held),
        })
    }

    /// Whoever holds the authority needs nobody for a certificate.
    fn sign_own(
        &self,
        authority: &Authority,
        files: &CredentialFiles,
    ) -> anyhow::Result<Credentials> {
        let key = NewKey::generate()?;
        let (me, now_ms) = (&self.me.node_id, self.clock.now_ms());
        let certificate = authority.sign(&key.request()?, (me, true), now_ms)?;
        let credentials = key.with(&certificate, authority.certificate())?;
        files.save_credentials(&credentials)?;
        tracing::info!("made this node's certificate of its cluster, for a year");
        Ok(credentials)
    }

    /// Makes the authority of a cluster that begins here.
    async fn found(&self, files: &CredentialFiles) -> anyhow::Result<Authority> {
        let settings = &self.config.cluster;
        let mut read = self.databases.carbon.read().await?;
        let is_alone = known_members::list(&mut read).await?.is_empty();
        drop(read);
        // One that has met others in the clear is told to, and so is one whose databases are a cluster's
        // that it knows nothing of; else two might make one each.
        let is_anothers = founding::is_anothers(self.databases, self.me).await?;
        let begins = (self.me.cluster_id.is_empty() || is_alone) && !is_anothers;
        let begins = begins || settings.tls == Tls::Always;
        ensure!(
            settings.seeds.is_empty() && begins,
            "this node has no certificate of its cluster, and nodes that others than this machine's \
             reach speak TLS: {JOIN}; on a network of your own cluster.plaintext = true does without"
        );
        ensure!(
            self.may_admit(),
            "nodes that others than this machine's reach speak TLS, and the first node of a cluster, \
             which makes its authority, has a role of the control plane: start such a node first; \
             then {JOIN}"
        );
        let belongs = founding::cluster_of(self.databases, self.me, &settings.seeds).await?;
        let founding::Belongs {
            cluster,
            was_second,
        } = belongs;
        if was_second {
            // Another node was first: the authority is that one's to make. What this one began stays on its disk, so
            // that the next start knows as well.
            bail!("another node founds a cluster over the same databases just now: {JOIN}");
        }
        let authority = Authority::make(&cluster)?;
        files.save_authority(&authority)?;
        tracing::info!(
            cluster,
            "made the authority of the cluster, other nodes join it with --join and a token of \
             headgate cluster token"
        );
        Ok(authority)
    }

    /// Gets a certificate for a token, and for a node of the control plane the authority.
    async fn join(
        &self,
        token: &JoinToken,
        files: &CredentialFiles,
    ) -> anyhow::Result<(Credentials, Option<Authority>)> {
        let key = NewKey::generate()?;
        let ask = JoinAsk {
            token: token.id.clone(),
            secret: token.secret,
            cluster: self.me.cluster_id.clone(),
            id: self.me.node_id.clone(),
            name: self.config.node.name.clone(),
            roles: self.cluster.me().roles.clone(),
            request: key.request()?,
        };
        let admitted = cluster::join(token, &ask).await;
        let admitted = admitted.context("this node cannot join with its token")?;
        let credentials = key.with(&admitted.certificate, &admitted.authority);
        let credentials = credentials.context("the certificate that was given")?;
        let authority = match admitted.authority_key {
            Some(key) if self.may_admit() => {
                let authority = Authority::from_der(&admitted.authority, &key);
                Some(authority.context("the authority that was given")?)
            }
            _ => None,
        };
        // Before the authority and the certificate, after which no token is used: whom to dial then.
        let carbon = &self.databases.carbon;
        note_joined(carbon, credentials.cluster(), &token.address).await?;
        if let Some(authority) = &authority {
            files.save_authority(authority)?;
        }
        files.save_credentials(&credentials)?;
        tracing::info!(
            cluster = credentials.cluster(),
            at = token.address,
            "joined with a token, which is used up: this node needs none any more"
        );
        Ok((credentials, authority))
    }
}

/// Notes the cluster that has taken this node in, and where it is dialed.
pub(super) async fn note_joined(
    carbon: &Database,
    cluster: &str,
    address: &str,
) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.identity.save_cluster").await?;
    identity::save_cluster(&mut write, cluster).await?;
    known_members::add(&mut write, address).await?;
    write.commit().await
}
