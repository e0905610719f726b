//! Reading the configuration once more while the node runs: what can change now does, of the rest it is said that it
//! waits for the next start. A configuration with a fault changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::{Clock, SettingSeen, SettingsSeen};
use headgate_http::gateway::Current;
use headgate_http::{Reloaded, Setting};

use super::ingress;
use crate::config::{Config, Differences, Effective, differences, gateway, merged};
use crate::telemetry;
use crate::tls::{Renewed, ServerCertificate};

/// What a node's configuration can be read anew for.
pub(crate) struct Reload {
    /// Held by whoever reads it anew, for as long as that takes.
    reading: Mutex<()>,
    /// What is in force; held for moments.
    running: Mutex<Arc<Config>>,
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
            reading: Mutex::new(()),
            running: Mutex::new(Arc::new(config.clone())),
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
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running();
        let read = self.read(&running);
        let (config, found, certificate) = read.inspect_err(|error| {
            tracing::error!(target: telemetry::NODE, error, "the configuration was not read anew, the node goes on with what it had");
        })?;
        let (live, waits) = (keys(&found.live), keys(&found.at_restart));
        tracing::info!(target: telemetry::NODE, live, at_restart = waits, "the configuration was read anew");
        let mut next = Config::clone(&running);
        next.gateway = gateway(&running.gateway, &config.gateway);
        next.effective = merged(&running.effective, &found);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        let applied = found.live.iter().map(setting);
        Ok(Reloaded {
            applied: applied.chain(certificate).collect(),
            at_restart: found.at_restart.iter().map(setting).collect(),
        })
    }

    fn running(&self) -> Arc<Config> {
        Arc::clone(&self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in force, as others are shown it.
    pub(super) fn settings(&self) -> SettingsSeen {
        let running = self.running();
        let seen = running.effective.iter().map(|one| SettingSeen {
            key: one.key.clone(),
            value: one.value.clone(),
            origin: one.origin.to_string(),
        });
        SettingsSeen(seen.collect())
    }

    /// Reads it and puts in force what can be; nothing of it where any of it is wrong.
    fn read(&self, running: &Config) -> Result<(Config, Differences, Option<Setting>), String> {
        let config = running.again().map_err(|error| error.to_string())?;
        let certificate = self.certificate()?;
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
        Ok((config, found, certificate))
    }

    /// The server's certificate, if it was replaced by one that is good.
    fn certificate(&self) -> Result<Option<Setting>, String> {
        let said = |value: &str| Setting {
            key: "tls/server.pem".to_owned(),
            value: value.to_owned(),
            origin: "data directory".to_owned(),
        };
        match self.certificate.renew(self.clock.now_ms()) {
            Renewed::Same => Ok(None),
            Renewed::Taken => Ok(Some(said("replaced"))),
            Renewed::Early => Ok(Some(said("is taken when its time begins"))),
            Renewed::Refused(why) => Err(format!(
                "tls/server.pem and its key cannot be used, the old ones stay: {why}"
            )),
        }
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
