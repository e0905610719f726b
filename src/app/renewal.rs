//! The certificate that a node shows to others is renewed while it runs, in its last month: by itself where it holds the
//! authority, else by any node that does. Connections go on meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use cluster::{Clock, Cluster, Credentials, Mutual, RenewCertificate, RenewedCertificate};
use tokio_util::sync::CancellationToken;

use super::admission::Admits;
use super::credential_files::{CredentialFiles, NODE};
use super::membership::CONTROL_PLANE;
use super::security::SOON;

/// How often it is looked at whether it is time, and tried again where it was and nobody could.
const ROUND: Duration = Duration::from_secs(60);
/// How long another node may take to sign.
const DEADLINE: Duration = Duration::from_secs(2);
/// That nobody can is told so seldom.
const TOLD_AGAIN: Duration = Duration::from_secs(60 * 60);

/// When it is to be told that nobody can: time since the machine was started, which may have been just now.
struct Telling(Duration);

/// What is shown, and by what it is renewed.
#[derive(Clone)]
pub(super) struct Renewal {
    pub(super) shown: Mutual,
    /// What this node admits others by, where it does.
    pub(super) admits: Option<Arc<Admits>>,
}

// === impl Telling ===

impl Telling {
    /// Others have a round to come before it is told that nobody is there.
    fn from(now: Duration) -> Self {
        Self(now + ROUND)
    }

    /// Whether it is time; then it is told, and not again for `TOLD_AGAIN`.
    fn is_due(&mut self, now: Duration) -> bool {
        let is_due = now >= self.0;
        if is_due {
            self.0 = now + TOLD_AGAIN;
        }
        is_due
    }
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
        let mut telling = Telling::from(clock.monotonic());
        let rounds = async {
            loop {
                changed.borrow_and_update();
                let is_time = self.shown.ends() <= seconds(&clock) + SOON;
                if is_time {
                    match self.renew(&files, &cluster, &clock).await {
                        Ok(()) => tracing::info!("{NODE} was renewed, for a year"),
                        Err(error) if telling.is_due(clock.monotonic()) => {
                            tracing::warn!(
                                "{NODE} ends within a month, and it is not renewed yet: {error:#}"
                            );
                        }
                        Err(error) => tracing::debug!("{NODE} is not renewed yet: {error:#}"),
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(ROUND) => {}
                    Ok(()) = changed.changed(), if is_time => {}
                }
            }
        };
        tokio::select! {
            () = rounds => {}
            () = stop.cancelled() => {}
        }
    }

    async fn renew(
        &self,
        files: &CredentialFiles,
        cluster: &Cluster,
        clock: &Clock,
    ) -> anyhow::Result<()> {
        let held = files.credentials()?.context("it is not there")??;
        let asked = held.asks_for_renewal()?;
        let renewed = match &self.admits {
            Some(admits) => {
                let signed = admits
                    .renew(&asked)
                    .await
                    .map_err(|refused| anyhow!(refused))?;
                good(&held, &signed, seconds(clock))?
            }
            None => by_others(&held, &asked, cluster, clock).await?,
        };
        // On disk first: the next start shows what others have seen.
        files.save_credentials(&renewed)?;
        self.shown.shows(&renewed)?;
        Ok(())
    }
}

/// By whoever holds the authority and is the first to give a good one.
async fn by_others(
    held: &Credentials,
    asked: &RenewCertificate,
    cluster: &Cluster,
    clock: &Clock,
) -> anyhow::Result<Credentials> {
    let mut why = anyhow!("no node of the control plane is connected");
    let others = cluster.with_role(CONTROL_PLANE).into_iter();
    for node in others.filter(|node| *node != cluster.me().id) {
        let renewed = match cluster.ask(&node, asked, DEADLINE).await {
            Ok(RenewedCertificate(Ok(signed))) => good(held, &signed, seconds(clock)),
            Ok(RenewedCertificate(Err(refused))) => Err(anyhow!(refused)),
            Err(error) => Err(error.into()),
        };
        match renewed {
            Ok(renewed) => return Ok(renewed),
            Err(error) => why = error.context(cluster.name_of(&node).unwrap_or(node)),
        }
    }
    Err(why)
}

/// What was given, where it is better than what is held: one that others do not take yet would cut the node off.
fn good(held: &Credentials, signed: &[u8], now: i64) -> anyhow::Result<Credentials> {
    let renewed = held.renewed(signed)?;
    ensure!(
        renewed.begins() <= now,
        "the one that was given begins later than now: compare the nodes' clocks"
    );
    ensure!(
        renewed.ends() > now + SOON,
        "the one that was given ends within a month as well: compare the nodes' clocks"
    );
    Ok(renewed)
}

fn seconds(clock: &Clock) -> i64 {
    clock.now_ms().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use cluster::{Authority, NewKey};

    use super::*;

    #[test]
    fn that_nobody_renews_is_told_after_a_round_and_then_hourly_however_lately_the_machine_was_started()
     {
        for started in [Duration::ZERO, 2 * ROUND, 2 * TOLD_AGAIN] {
            let mut telling = Telling::from(started);
            let mut told = Vec::new();
            for round in 0..=125 {
                if telling.is_due(started + ROUND * round) {
                    told.push(round);
                }
            }
            assert_eq!(told, [1, 61, 121], "{started:?} after the machine");
        }
    }

    #[test]
    fn what_was_signed_by_a_clock_that_is_wrong_takes_no_good_ones_place() {
        const MONTH: i64 = 30 * 24 * 60 * 60;
        let authority = Authority::make("c1").unwrap();
        let key = NewKey::generate().unwrap();
        let now = 1_700_000_000;
        let request = key.request().unwrap();
        let signed = authority
            .sign(&request, ("n1", false), now * 1_000)
            .unwrap();
        let held = key.with(&signed, authority.certificate()).unwrap();
        let asked = held.asks_for_renewal().unwrap();
        let signed_at = |at: i64| {
            authority
                .renew(&asked, |_| Some(false), at * 1_000)
                .unwrap()
        };
        let later = now + 11 * MONTH + MONTH / 2;
        let judged = |at: i64| good(&held, &signed_at(at), later);
        assert!(judged(later).is_ok());
        let ahead = judged(later + 3_600).unwrap_err().to_string();
        assert!(ahead.contains("begins later than now"), "{ahead}");
        let behind = judged(now).unwrap_err().to_string();
        assert!(behind.contains("within a month as well"), "{behind}");
    }
}
