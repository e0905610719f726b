//! The certificate that a node shows to others is renewed while it runs, in its last month: by itself where it holds the
//! authority, else by any node that does. Connections go on meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use cluster::{Clock, Cluster, Mutual};
use tokio_util::sync::CancellationToken;

use super::admission::Admits;
use super::credential_files::{CredentialFiles, NODE};
use super::membership::CONTROL_PLANE;
use super::security::SOON;

/// How often it is looked at whether it is time, and tried again where it was and nobody could.
const ROUND: Duration = Duration::from_secs(60);
/// How long others may take to sign.
const DEADLINE: Duration = Duration::from_secs(5);
/// It is told again after so many rounds that nobody can.
const TOLD_AGAIN: u32 = 60;

/// What is shown, and by what it is renewed.
#[derive(Clone)]
pub(super) struct Renewal {
    pub(super) shown: Mutual,
    /// What this node admits others by, where it does.
    pub(super) admits: Option<Arc<Admits>>,
}

// === impl Renewal ===

impl Renewal {
    /// Looks until `stop`.
    pub(super) async fn follow(
        self,
        files: CredentialFiles,
        (cluster, clock): (Cluster, Clock),
        stop: CancellationToken,
    ) {
        let mut changed = cluster.changed();
        let mut rounds = 0;
        loop {
            changed.borrow_and_update();
            let is_time = self.shown.ends() <= clock.now_ms().div_euclid(1_000) + SOON;
            if is_time {
                match self.renew(&files, &cluster, clock.now_ms()).await {
                    Ok(()) => {
                        rounds = 0;
                        tracing::info!("{NODE} was renewed, for a year");
                    }
                    Err(error) => {
                        if rounds % TOLD_AGAIN == 0 {
                            tracing::warn!(
                                "{NODE} ends within a month, and it is not renewed yet: {error:#}"
                            );
                        }
                        rounds += 1;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                Ok(()) = changed.changed(), if is_time => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn renew(
        &self,
        files: &CredentialFiles,
        cluster: &Cluster,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let held = files.credentials()?.context("it is not there")??;
        let asked = held.asks_for_renewal()?;
        let signed = match &self.admits {
            Some(admits) => admits.authority.renew(&asked, now_ms)?.to_vec(),
            None => {
                let mut why = "no node of the control plane is connected".to_owned();
                let mut signed = None;
                for node in cluster.with_role(CONTROL_PLANE) {
                    match cluster
                        .ask(&node, &asked, DEADLINE)
                        .await
                        .map(|answer| answer.0)
                    {
                        Ok(Ok(certificate)) => {
                            signed = Some(certificate);
                            break;
                        }
                        Ok(Err(refused)) => why = refused,
                        Err(error) => why = error.to_string(),
                    }
                }
                match signed {
                    Some(signed) => signed,
                    None => bail!(why),
                }
            }
        };
        let renewed = held.renewed(&signed)?;
        ensure!(
            renewed.ends() > now_ms.div_euclid(1_000) + SOON,
            "the one that was given ends within a month as well"
        );
        // On disk first: the next start shows what others have seen.
        files.save_credentials(&renewed)?;
        self.shown.shows(&renewed)?;
        Ok(())
    }
}
