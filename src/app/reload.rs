//! Reading the configuration once more while the node runs: what can change now does, of the rest it is said that it
//! waits for the next start. A configuration with a fault changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::{Clock, SettingSeen, SettingsSeen};
use headgate_http::gateway::Current;
use headgate_http::{Reloaded, Setting};

use super::ingress;
use crate::config::{Config, Differences, Effective, differences, gateway, merged};
use crate::telemetry;
use crate::tls::ServerCertificate;

/// What a node's configuration can be read anew for.
pub(crate) struct Reload {
    /// What is in force.
    running: Mutex<Config>,
    ingress: Option<Current>,
    certificate: Arc<ServerCertificate>,
    clock: Clock,
}

// === impl Reload ===

impl Reload {
    /// Of a node that runs by `config`.
    pub(super) fn new(
        config: &Config,
        ingress: Option<Current>,
        (certificate, clock): (&Arc<ServerCertificate>, &Clock),
    ) -> Self {
        Self {
            running: Mutex::new(config.clone()),
            ingress,
            certificate: Arc::clone(certificate),
            clock: clock.clone(),
        }
    }

    /// Reads it again from where it was read at the start, and the server's certificate too.
    ///
    /// # Errors
    /// What is wrong with it, and where; then everything stays as it is.
    pub(crate) fn reload(&self) -> Result<Reloaded, String> {
        // Of two at once the later one reads what is there then.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.read(&running);
        let (config, found) = read.inspect_err(|error| {
            tracing::error!(target: telemetry::NODE, error, "the configuration was not read anew, the node goes on with what it had");
        })?;
        self.certificate.renew(self.clock.now_ms());
        let (live, waits) = (keys(&found.live), keys(&found.at_restart));
        tracing::info!(target: telemetry::NODE, live, at_restart = waits, "the configuration was read anew");
        let effective = merged(&running.effective, &found);
        running.gateway = gateway(&running.gateway, &config.gateway);
        running.effective = effective;
        Ok(Reloaded {
            applied: found.live.iter().map(setting).collect(),
            at_restart: found.at_restart.iter().map(setting).collect(),
        })
    }

    /// What is in force, as others are shown it.
    pub(super) fn settings(&self) -> SettingsSeen {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = running.effective.iter().map(|one| SettingSeen {
            key: one.key.clone(),
            value: one.value.clone(),
            origin: one.origin.to_string(),
        });
        SettingsSeen(seen.collect())
    }

    fn read(&self, running: &Config) -> Result<(Config, Differences), String> {
        let config = running.again().map_err(|error| error.to_string())?;
        let mut found = differences(&running.effective, &config.effective);
        let authorities = "gateway.upstream_ca";
        let listed = found.live.iter().any(|one| one.key == authorities);
        // The file may have another content under the name that it had.
        if !listed && running.gateway.upstream_authorities != config.gateway.upstream_authorities {
            let all = config.effective.iter();
            found
                .live
                .extend(all.filter(|one| one.key == authorities).cloned());
        }
        let told = |error: anyhow::Error| format!("{error:#}");
        if let Some(ingress) = &self.ingress {
            let settings = gateway(&running.gateway, &config.gateway);
            ingress::renew(ingress, &settings).map_err(told)?;
        }
        telemetry::filter(&config.log).map_err(told)?;
        Ok((config, found))
    }
}

fn setting(effective: &Effective) -> Setting {
    Setting {
        key: effective.key.clone(),
        value: effective.value.clone(),
        origin: effective.origin.to_string(),
    }
}

fn keys(list: &[Effective]) -> String {
    let keys: Vec<&str> = list.iter().map(|one| one.key.as_str()).collect();
    keys.join(", ")
}
