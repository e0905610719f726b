//! Who is admitted to the cluster: tokens, which Carbon keeps as hashes, and what is given for them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{
    Admission, Admitted, Admitting, Authority, Clock, Cluster, Health, JoinAsk, JoinToken,
    MemberState, NotAdmitted, RenewCertificate,
};
use storage::apim::retired_nodes;
use storage::carbon::join_tokens::{self, Taken};
use storage::{Database, StoreError, Write};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::credential_files::CredentialFiles;
use super::membership::{self, CONTROL_PLANE};
use crate::config::Role;
use crate::listeners::Ports;

/// Said to a node that an operator has forgotten.
const FORGOTTEN: &str = "it was forgotten (headgate cluster forget): if it is to stay, start it with --join and a token of headgate cluster token";
/// The most characters of a node's id, and of its name.
const ID: usize = 64;
/// How long API-M may take, and how long one waits for the turn of its token: shorter together than a connection has to say
/// who it is, so that a newcomer hears why it is not admitted where Carbon answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// A token for one node, as an operator gets it.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) token: JoinToken,
    /// Milliseconds since the epoch.
    pub(crate) expires_ms: i64,
}

/// Admits nodes in the name of an authority.
#[derive(Clone)]
pub(super) struct Admitter(pub(super) Arc<Admits>);

/// What that takes.
pub(super) struct Admits {
    pub(super) authority: Authority,
    pub(super) carbon: Database,
    /// Which knows who was forgotten.
    pub(super) apim: Database,
    pub(super) cluster: Cluster,
    pub(super) clock: Clock,
    pub(super) turns: Turns,
}

/// Whoever is admitted has one, by its token: of two that show one token the second is judged when the first has used it up.
/// Of two with different tokens one in sixteen waits for another. No other process takes a token of this Carbon.
#[derive(Default)]
pub(super) struct Turns([Mutex<()>; 16]);

/// Makes a token of the node that runs on a data directory. The row is written beside the node, which
/// looks at it when it is shown; of two who ask at a time each gets a row of its own.
pub(crate) async fn issue_token(
    data_dir: &Path,
    ports: &Ports,
    (life, roles): (Duration, &[Role]),
) -> anyhow::Result<Issued> {
    let authority = CredentialFiles::of(data_dir).authority()?.context(
        "this node does not hold the authority of a cluster over TLS: ask on a node with a role of \
         the control plane (cluster/authority.pem in its data directory)",
    )?;
    let address = ports.cluster_address.as_deref();
    let address = address.context("this node has no cluster port that others could dial")?;
    let token = JoinToken::generate(address, authority.fingerprint());
    let token = token.context("the system gives no random numbers")?;
    let now_ms = Clock::system().now_ms();
    let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    let expires_ms = now_ms.saturating_add(life_ms);
    let kept = join_tokens::JoinToken {
        id: token.id.clone(),
        secret_hash: JoinToken::hash(&token.secret),
        expires_ms,
        roles: membership::roles(roles).join(","),
    };
    let carbon = storage::carbon::open(data_dir).await?;
    keep_token(&carbon, &kept, now_ms).await?;
    carbon.close().await;
    Ok(Issued { token, expires_ms })
}

/// Keeps a token for who shows it, and forgets those that ended long ago.
pub(super) async fn keep_token(
    carbon: &Database,
    token: &join_tokens::JoinToken,
    now_ms: i64,
) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.join_tokens.create").await?;
    join_tokens::create(&mut write, token, now_ms).await?;
    write.commit().await
}

async fn is_retired(apim: &Database, node: &str) -> Result<bool, StoreError> {
    let mut read = apim.read().await?;
    let retired = retired_nodes::find(&mut read, node).await?;
    Ok(retired.is_some())
}

/// One that was forgotten is a member again, also where the word for it comes later than this.
pub(super) async fn take_back(apim: &Database, node: &str) -> Result<(), StoreError> {
    let mut write = apim.write("apim.retired_nodes.delete").await?;
    retired_nodes::delete(&mut write, node).await?;
    write.commit().await
}

fn token_unread(error: StoreError) -> Result<(), NotAdmitted> {
    tracing::warn!(%error, "a join token cannot be looked at");
    Err(NotAdmitted::Unavailable)
}

// === impl Admitter ===

impl Admission for Admitter {
    fn admit(&self, ask: JoinAsk) -> Admitting {
        let admits = Arc::clone(&self.0);
        Box::pin(async move { admits.admit(ask).await })
    }
}

// === impl Turns ===

impl Turns {
    async fn of(&self, token: &str) -> MutexGuard<'_, ()> {
        let [first, ..] = &self.0;
        let sum = token.bytes().map(usize::from).sum::<usize>();
        let turn = self.0.get(sum % self.0.len());
        turn.unwrap_or(first).lock().await
    }
}

// === impl Admits ===

impl Admits {
    async fn admit(&self, ask: JoinAsk) -> Result<Admitted, NotAdmitted> {
        let now_ms = self.clock.now_ms();
        // Whoever is refused waits for nobody.
        self.judge(&ask, now_ms)
            .await
            .unwrap_or_else(token_unread)?;
        let turn = timeout(PATIENCE, self.turns.of(&ask.token)).await;
        let _turn = turn.map_err(|_| NotAdmitted::Unavailable)?;
        self.judge(&ask, now_ms)
            .await
            .unwrap_or_else(token_unread)?;
        // All that could refuse it comes before the first thing that is written, but that its id may come meanwhile.
        let admitted = self.signed(&ask, now_ms)?;
        self.take_back(&ask).await?;
        let taken = self.take(&ask, now_ms).await;
        taken.unwrap_or_else(token_unread)?;
        Ok(admitted)
    }

    /// Whoever runs the cluster wants it again. A node that takes no token any more, for its certificate is good, would stay
    /// forgotten: so nobody is admitted before that is written down.
    async fn take_back(&self, ask: &JoinAsk) -> Result<(), NotAdmitted> {
        let reason = match timeout(PATIENCE, take_back(&self.apim, &ask.id)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "API-M does not answer".to_owned(),
        };
        tracing::warn!(
            reason,
            node = ask.id,
            "a node is not admitted yet, for it cannot be looked up whether it was forgotten: its token stays good"
        );
        Err(NotAdmitted::Unavailable)
    }

    /// What a node gets that is admitted.
    fn signed(&self, ask: &JoinAsk, now_ms: i64) -> Result<Admitted, NotAdmitted> {
        let admits_others = ask.roles.iter().any(|role| role == CONTROL_PLANE);
        let node = (ask.id.as_str(), admits_others);
        let certificate = self.authority.sign(&ask.request, node, now_ms);
        let certificate = certificate.map_err(|_| NotAdmitted::Malformed)?;
        Ok(Admitted {
            certificate: certificate.to_vec(),
            authority: self.authority.certificate().to_vec(),
            authority_key: admits_others.then(|| self.authority.key().to_vec()),
        })
    }

    /// Signs another node's certificate anew, or its own.
    pub(super) async fn renew(&self, asked: &RenewCertificate) -> Result<Vec<u8>, String> {
        let node = asked.node().unwrap_or_default();
        match is_retired(&self.apim, &node).await {
            Ok(false) => {}
            Ok(true) => return Err(FORGOTTEN.to_owned()),
            Err(error) => {
                return Err(format!(
                    "whether it was forgotten cannot be looked up: {error}"
                ));
            }
        }
        let may_admit = |id: &str| self.may_admit(id);
        let renewed = self.authority.renew(asked, may_admit, self.clock.now_ms());
        renewed
            .map(|certificate| certificate.to_vec())
            .map_err(|error| error.to_string())
    }

    /// Whether a member may admit others; none for who is no member any more.
    fn may_admit(&self, id: &str) -> Option<bool> {
        let me = self.cluster.me();
        if me.id == id {
            return Some(me.has_role(CONTROL_PLANE));
        }
        let members = self.cluster.members();
        let is_asked = |state: &&MemberState| state.health == Health::Up && state.member.id == id;
        let member = members.iter().find(is_asked)?;
        Some(member.member.has_role(CONTROL_PLANE))
    }

    /// Whether the node may be admitted. Its token stays good: the write that it is looked at in is not committed.
    async fn judge(
        &self,
        ask: &JoinAsk,
        now_ms: i64,
    ) -> Result<Result<(), NotAdmitted>, StoreError> {
        let taking = self.taking(ask, now_ms).await?;
        Ok(taking.and_then(|(_, roles)| self.refusal(ask, &roles).map_or(Ok(()), Err)))
    }

    /// Uses the token up, of a node that still may be admitted: one of its id may have come meanwhile.
    pub(super) async fn take(
        &self,
        ask: &JoinAsk,
        now_ms: i64,
    ) -> Result<Result<(), NotAdmitted>, StoreError> {
        match self.taking(ask, now_ms).await? {
            Ok((write, roles)) => match self.refusal(ask, &roles) {
                None => write.commit().await.map(Ok),
                Some(refused) => Ok(Err(refused)),
            },
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// The write that uses the token up once it is committed, and the roles that it is for.
    async fn taking(
        &self,
        ask: &JoinAsk,
        now_ms: i64,
    ) -> Result<Result<(Write, String), NotAdmitted>, StoreError> {
        let hash = JoinToken::hash(&ask.secret);
        let mut write = self.carbon.write("carbon.join_tokens.take").await?;
        let taken = join_tokens::take(&mut write, &ask.token, &hash, now_ms).await?;
        Ok(match taken {
            Taken::Unknown => Err(NotAdmitted::Unknown),
            Taken::Expired => Err(NotAdmitted::Expired),
            Taken::Good(roles) => Ok((write, roles)),
        })
    }

    /// Why a node may not join by a token that is for these `roles`; any when there are none.
    fn refusal(&self, ask: &JoinAsk, roles: &str) -> Option<NotAdmitted> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let has_good_id = (1..=ID).contains(&ask.id.len()) && ask.id.chars().all(good);
        if !has_good_id || ask.name.len() > ID {
            return Some(NotAdmitted::Malformed);
        }
        if !ask.cluster.is_empty() && ask.cluster != self.authority.cluster() {
            return Some(NotAdmitted::Cluster(ask.cluster.clone()));
        }
        let is_meant = |role: &String| roles.split(',').any(|meant| meant == role);
        if !roles.is_empty() && !ask.roles.iter().all(is_meant) {
            let meant = roles.split(',').filter(|role| *role != CONTROL_PLANE);
            return Some(NotAdmitted::Roles(meant.collect::<Vec<_>>().join(",")));
        }
        // Nobody gets a certificate in the name of one that is there.
        let members = self.cluster.members();
        let mut alive = members
            .iter()
            .filter(|state| matches!(state.health, Health::Up | Health::Suspect));
        let runs = self.cluster.me().id == ask.id
            || alive.any(|state| state.member.id == ask.id && !state.leaving);
        runs.then(|| NotAdmitted::Running(ask.id.clone()))
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
