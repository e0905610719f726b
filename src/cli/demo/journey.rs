//! Who is asked, as whom, and how a step asks: shown as a curl line first, then sent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::console::Console;
use crate::client::{Call, Client};
use crate::config::Config;
use crate::data_dir::write_file;
use crate::listeners::Ports;

/// Where an administrator's password comes from that was not generated.
const ADMIN_PASSWORD: &str = "HEADGATE_ADMIN_PASSWORD";

/// The state that steps share.
pub(super) struct Journey<'a> {
    pub(super) console: &'a mut Console,
    pub(super) client: Client,
    /// The demo's directory as the person named it, for curl lines.
    pub(super) directory: PathBuf,
    /// The administrator.
    pub(super) user: String,
    pub(super) password: String,
    /// The same as it stands between double quotes in a curl line.
    pub(super) password_words: String,
    /// Token for the REST APIs, once there is one.
    pub(super) token: String,
    management: String,
    gateway: String,
}

/// The credential of a call does not count, or not any more.
#[derive(Debug, thiserror::Error)]
#[error("the node refused the call: status 401, {0}")]
pub(super) struct NotKnown(String);

// === impl Journey ===

impl<'a> Journey<'a> {
    pub(super) fn new(
        directory: &Path,
        config: &Config,
        console: &'a mut Console,
    ) -> anyhow::Result<Self> {
        let data = &config.node.data_dir;
        let ports = Ports::read(&data.join("run/ports.json"))?;
        let ingress = ports.ingress_https.context("listen.ingress_https is off")?;
        let kept = directory.join("admin-password");
        let (password, password_words) = match std::fs::read_to_string(&kept) {
            Ok(text) => (
                text.trim().to_owned(),
                format!("$(cat '{}')", kept.display()),
            ),
            Err(_) => {
                let given = std::env::var(ADMIN_PASSWORD).with_context(|| {
                    format!(
                        "{} is not there and {ADMIN_PASSWORD} is not set",
                        kept.display()
                    )
                })?;
                (given, format!("${ADMIN_PASSWORD}"))
            }
        };
        Ok(Self {
            console,
            client: Client::trusting(&directory.join("ca.pem"))?,
            directory: directory.to_owned(),
            user: std::env::var("HEADGATE_ADMIN_USER").unwrap_or_else(|_| "admin".to_owned()),
            password,
            password_words,
            token: String::new(),
            management: format!("https://localhost:{}", ports.management.port()),
            gateway: format!("https://localhost:{}", ingress.port()),
        })
    }

    /// A URL on the management port.
    pub(super) fn management(&self, path: &str) -> String {
        format!("{}{path}", self.management)
    }

    /// A URL on the gateway.
    pub(super) fn gateway(&self, path: &str) -> String {
        format!("{}{path}", self.gateway)
    }

    /// A call to the Publisher.
    pub(super) fn publisher(&self, method: &str, path: &str) -> Call {
        self.rest(method, &format!("/api/am/publisher/v4{path}"))
    }

    /// A call to the Developer Portal.
    pub(super) fn devportal(&self, method: &str, path: &str) -> Call {
        self.rest(method, &format!("/api/am/devportal/v3{path}"))
    }

    /// A call to Administration.
    pub(super) fn admin(&self, method: &str, path: &str) -> Call {
        self.rest(method, &format!("/api/am/admin/v4{path}"))
    }

    fn rest(&self, method: &str, path: &str) -> Call {
        Call::new(method, self.management(path)).bearer(&self.token, "TOKEN")
    }

    /// The list of an answer to a reading call; not shown, because it only finds out.
    pub(super) async fn list(&self, call: &Call) -> anyhow::Result<Vec<Value>> {
        let mut answer = self
            .client
            .send(call)
            .await?
            .success("the list cannot be read")?;
        match answer.get_mut("list").map(Value::take) {
            Some(Value::Array(list)) => Ok(list),
            _ => anyhow::bail!("an answer came without its list"),
        }
    }

    /// Shows a call, then makes it.
    pub(super) async fn make(&self, call: &Call) -> anyhow::Result<Value> {
        self.console.command(&self.client.curl(call));
        let answer = self.client.send(call).await?;
        answer.success("the node refused the call")
    }

    /// Shows a call that leaves a member of its answer in a shell variable, then makes it.
    pub(super) async fn capture(
        &self,
        call: &Call,
        variable: &str,
        member: &str,
    ) -> anyhow::Result<Value> {
        let line = self.client.curl(call);
        self.console.command(&format!(
            "{variable}=$({line} | sed -E 's/.*\"{member}\":\"([^\"]*)\".*/\\1/')"
        ));
        let answer = self.client.send(call).await?;
        if answer.status == 401 {
            return Err(NotKnown(answer.reason()).into());
        }
        answer.success("the node refused the call")
    }

    /// Shows a call that leaves two members of its answer in a file, then makes it: who repeats the
    /// line has the credential that counts from then on.
    pub(super) async fn renew(
        &self,
        call: &Call,
        name: &str,
        [id, secret]: [&str; 2],
    ) -> anyhow::Result<()> {
        let (path, _) = self.secret(name);
        let members = format!(".*\"{id}\":\"([^\"]*)\".*\"{secret}\":\"([^\"]*)\".*");
        self.console.command(&format!(
            "{} | sed -nE 's/{members}/\\1:\\2/p' > '{}'",
            self.client.curl(call),
            path.display()
        ));
        let answer = self.client.send(call).await?;
        let answer = answer.success("the node refused the call")?;
        let (id, secret) = (member(&answer, id)?, member(&answer, secret)?);
        self.keep(name, &format!("{id}:{secret}"))
    }

    /// A file in the demo's directory, and the shell words that read it.
    pub(super) fn secret(&self, name: &str) -> (PathBuf, String) {
        let path = self.directory.join("run").join(name);
        let words = format!("\"$(cat '{}')\"", path.display());
        (path, words)
    }

    /// Keeps a credential where its owner alone can read it.
    pub(super) fn keep(&self, name: &str, credential: &str) -> anyhow::Result<()> {
        let (path, _) = self.secret(name);
        write_file(&path, 0o600, credential.as_bytes())?;
        self.console.say(&format!("kept in {}", path.display()));
        Ok(())
    }
}

/// A text member of an answer.
pub(super) fn member(value: &Value, name: &str) -> anyhow::Result<String> {
    let text = value.get(name).and_then(Value::as_str);
    let text = text.with_context(|| format!("an answer came without its {name}"))?;
    Ok(text.to_owned())
}

/// The element of a list whose text member `name` is `value`.
pub(super) fn by<'v>(list: &'v [Value], name: &str, value: &str) -> Option<&'v Value> {
    list.iter()
        .find(|one| one.get(name).and_then(Value::as_str) == Some(value))
}
