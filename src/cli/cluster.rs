//! `headgate cluster`: what is done at a member for others.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::json;

use super::remote::{self, Unreachable};
use super::signals::stop_asked;
use super::{Output, forget, print, voters};
use crate::app;
use crate::config::{Config, Flags, Role};
use crate::draft::{Draft, Over};
use crate::listeners::Ports;

/// The longest life of a token.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `headgate cluster`
#[derive(Debug, clap::Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a token by which one other node joins (headgate start --join TOKEN), or write it to a file
    Token(Token),
    /// Show who votes on views of traffic managers; choose others
    Voters(voters::Voters),
    /// Give up what a node held of lost shards, for one that does not come back
    Forget(forget::Forget),
}

#[derive(Debug, clap::Args)]
struct Token {
    /// Configuration file of the node on this machine, for its data directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of a running node that has a role of the control plane
    /// [default: ./headgate-data]
    #[arg(long, value_name = "DIR", env = "HEADGATE__NODE__DATA_DIR")]
    data_dir: Option<String>,
    /// How long the token is good, such as 90s, 15m or 2h; 24h at most
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = life)]
    ttl: Duration,
    /// Roles that the node may have which joins by it, or all: only with one of the control plane does
    /// it get the authority, and may admit others
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = roles)]
    roles: Roles,
    /// Write the token to this file, which is its owner's alone, instead of printing it: cluster.join_file names it where the
    /// other node starts
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over --out where it is there
    #[arg(long, requires = "out")]
    replace: bool,
    /// How to print: the token alone, or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(cluster: &Cluster) -> anyhow::Result<ExitCode> {
    match &cluster.command {
        Command::Token(token) => remote::run(issue(token)),
        Command::Voters(voters) => voters::run(voters),
        Command::Forget(forget) => forget::run(forget),
    }
}

async fn issue(token: &Token) -> anyhow::Result<ExitCode> {
    // What is made beside the node's databases is its owner's alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let data_dir = match (&token.config, &token.data_dir) {
        (None, dir) => PathBuf::from(dir.as_deref().unwrap_or("headgate-data")),
        (Some(_), dir) => {
            let flags = Flags {
                config: token.config.clone(),
                data_dir: dir.clone(),
                ..Flags::default()
            };
            Config::load(&flags, std::env::vars_os())?.node.data_dir
        }
    };
    let ports = Ports::read(&data_dir.join("run/ports.json")).context(Unreachable)?;
    let wanted = (token.ttl, token.roles.0.as_slice());
    // Before anything is issued: what cannot be kept is not to be made.
    let kept = token
        .out
        .as_deref()
        .map(|path| Kept::begin(path, token.replace));
    let kept = kept.transpose()?;
    let issued = tokio::select! {
        issued = app::issue_token(&data_dir, &ports, wanted) => issued?,
        // In order, for nothing of the file is to be left.
        stopped = stop_asked() => {
            stopped?;
            bail!("given up");
        }
    };
    if let Some(kept) = kept {
        kept.put(&issued.token.to_text())?;
    }
    tell(token, &issued)?;
    Ok(ExitCode::SUCCESS)
}

/// What comes of it, without the token where a file has it.
fn tell(token: &Token, issued: &app::Issued) -> anyhow::Result<()> {
    let (text, seconds) = (issued.token.to_text(), token.ttl.as_secs());
    match (token.output, &token.out) {
        (Output::Table, Some(path)) => print::tell(&format!(
            "good once within {seconds} s: {} has it, start headgate on the other node with \
             cluster.join_file = the file's place there",
            path.display()
        )),
        (Output::Table, None) => {
            print::tell(&format!(
                "good once within {seconds} s: on the other node start headgate with --join and this, or \
                 with it in HEADGATE__CLUSTER__JOIN"
            ));
            remote::say(&text)?;
        }
        (Output::Json, out) => {
            let fingerprint = issued.token.fingerprint.iter();
            let fingerprint: String = fingerprint.map(|byte| format!("{byte:02x}")).collect();
            let (key, value) = match out {
                Some(path) => ("file", path.display().to_string()),
                None => ("token", text),
            };
            remote::print_json(&json!({
                key: value,
                "address": issued.token.address,
                "fingerprint": fingerprint,
                "expires": issued.expires_ms.div_euclid(1_000),
            }))?;
        }
    }
    Ok(())
}

/// The file that a token goes to, of its owner's alone: there is none of it before the token is.
struct Kept<'a> {
    draft: Draft,
    path: &'a Path,
    over: Over,
}

// === impl Kept ===

impl<'a> Kept<'a> {
    fn begin(path: &'a Path, replace: bool) -> anyhow::Result<Self> {
        let over = if replace {
            Over::Anything
        } else {
            Over::Nothing
        };
        match path.symlink_metadata() {
            Ok(_) if over == Over::Nothing => return Err(taken(path)),
            // A directory, a device, or what leads to another place.
            Ok(found) if !found.is_file() => bail!(
                "{} is no plain file, and nothing else is written over: name another",
                path.display()
            ),
            _ => {}
        }
        let draft = Draft::begin(path, 0o600)?;
        Ok(Self { draft, path, over })
    }

    fn put(mut self, token: &str) -> anyhow::Result<()> {
        let written = writeln!(self.draft, "{token}").and_then(|()| self.draft.put(self.over));
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => taken(self.path),
            _ => anyhow!("{} cannot be written: {error}", self.path.display()),
        })
    }
}

fn taken(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is there already: remove it, or say --replace",
        path.display()
    )
}

/// One value, as the command line has it.
#[derive(Debug, Clone)]
struct Roles(Vec<Role>);

fn roles(text: &str) -> Result<Roles, String> {
    Role::list(text).map(Roles)
}

fn life(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a time from 1s to 24h, such as 90s, 15m or 2h".to_owned();
    let units = [('s', 1), ('m', 60), ('h', 3_600)];
    let found = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (digits, seconds) = found.ok_or_else(wrong)?;
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let life = Duration::from_secs(number.saturating_mul(seconds));
    match life {
        Duration::ZERO => Err(wrong()),
        life if life > LONGEST => Err(wrong()),
        life => Ok(life),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_a_unit_and_a_day_at_most() {
        for (text, seconds) in [("1s", 1), ("15m", 900), ("24h", 86_400), ("86400s", 86_400)] {
            assert_eq!(life(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in [
            "",
            "15",
            "0s",
            "-1m",
            "25h",
            "86401s",
            "1d",
            "h",
            "99999999999999999999h",
        ] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
