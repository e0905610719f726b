//! A PostgreSQL of the tests' own: finds the server's binaries (or has them installed on Debian), makes a throw-away
//! cluster in a temporary directory as an unprivileged user, and gives its address to the tests.
//!
//! A PostgreSQL that happens to run on the machine is never used, so it cannot hide that the binaries are missing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::stage::run as command;
use crate::watchdog::Watchdog;

/// Where Debian keeps the server's binaries, one folder a major version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs the server when the caller is root, which PostgreSQL refuses to run as.
const SERVER_USER: &str = "postgres";
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The server itself kills what does not end within 5 s of an immediate shutdown.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The server's word for ready; `--no-locale` keeps it English.
const READY: &str = "database system is ready to accept connections";

/// A running server.
pub(crate) struct Postgres {
    watchdog: Watchdog,
    port: u16,
}

struct User {
    uid: u32,
    gid: u32,
}

// === impl Postgres ===

impl Postgres {
    /// Makes a cluster with the binaries in `binaries` and starts it.
    pub(crate) fn start(binaries: &Path) -> Result<Self> {
        let user = if is_root()? {
            Some(server_user()?)
        } else {
            None
        };
        for _ in 0..2 {
            match Self::attempt(binaries, user.as_ref()) {
                // somebody took the port between our look and the server's
                Err(error) if format!("{error:#}").contains("could not bind") => {
                    println!("{error:#}")
                }
                outcome => return outcome,
            }
        }
        Self::attempt(binaries, user.as_ref())
    }

    fn attempt(binaries: &Path, user: Option<&User>) -> Result<Self> {
        let port = free_port()?;
        let folder =
            std::env::temp_dir().join(format!("headgate-postgres-{}-{port}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let outcome = launch(binaries, user, &folder, port);
        if outcome.is_err() {
            // the first error is the one to tell
            let _ = fs::remove_dir_all(&folder);
        }
        Ok(Self {
            watchdog: outcome?,
            port,
        })
    }

    /// `HEADGATE_TEST_POSTGRES` for the tests.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs a command that uses the server; it ends when this process does.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        let url = self.url();
        self.watchdog
            .run(command.env("HEADGATE_TEST_POSTGRES", url))
    }

    /// Stops the server and removes its directory.
    pub(crate) fn stop(self) -> Result<()> {
        self.watchdog.stop()
    }
}

/// The folder of `initdb` and `postgres`, installed from Debian's packages when missing.
pub(crate) fn binaries() -> Result<PathBuf> {
    if let Some(found) = find()? {
        return Ok(found);
    }
    let by_hand = format!("initdb and postgres, on the PATH or in {DEBIAN}/VERSION/bin");
    apt::install("PostgreSQL's server binaries", &["postgresql"], &by_hand)?;
    find()?.with_context(|| format!("installed postgresql, yet no initdb in {DEBIAN}/*/bin"))
}

fn find() -> Result<Option<PathBuf>> {
    let versions: Vec<String> = match fs::read_dir(DEBIAN) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect(),
        Err(_) => Vec::new(),
    };
    let debian = newest_first(versions)
        .into_iter()
        .map(|version| Path::new(DEBIAN).join(version).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    Ok(debian.chain(elsewhere).find(complete))
}

/// Versions by number, so that 15 comes before 9.6.
fn newest_first(mut versions: Vec<String>) -> Vec<String> {
    let numbers = |version: &String| {
        version
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect::<Vec<u32>>()
    };
    versions.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
    versions
}

/// Makes the cluster in `folder` and starts its server.
fn launch(binaries: &Path, user: Option<&User>, folder: &Path, port: u16) -> Result<Watchdog> {
    let [data, socket] = ["data", "socket"].map(|name| folder.join(name));
    for path in [&data, &socket] {
        fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        if let Some(User { uid, gid }) = user {
            chown(path, Some(*uid), Some(*gid))
                .with_context(|| format!("cannot give {} away", path.display()))?;
        }
    }
    let (data, socket) = (text(&data)?, text(&socket)?);
    let initdb = text(&binaries.join("initdb"))?;
    let mut initdb = unprivileged(user, &[&initdb, "--pgdata", &data]);
    initdb.extend(
        [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        .map(str::to_owned),
    );
    quietly(&initdb, folder)?;
    let postgres = text(&binaries.join("postgres"))?;
    let mut server = unprivileged(user, &[&postgres, "-D", &data]);
    for setting in [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={socket}"),
        "max_connections=300".to_owned(),
        // the directory is thrown away: nothing has to outlive a power cut
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
    ] {
        server.extend(["-c".to_owned(), setting]);
    }
    let watchdog = Watchdog::start(folder, STOP_GRACE, &server)?;
    watchdog
        .wait(START_PATIENCE, is_ready)
        .context("PostgreSQL does not start")?;
    Ok(watchdog)
}

/// Reads the server's log: ready, not yet, or never.
fn is_ready(log: &str) -> Result<bool> {
    if let Some(line) = log
        .lines()
        .find(|line| line.contains("FATAL:") || line.contains("PANIC:"))
    {
        // until it is ready nobody but the server itself can cause one
        if !log.contains(READY) {
            bail!("{line}");
        }
    }
    Ok(log.contains(READY))
}

/// Runs a command and shows its output only when it fails.
fn quietly(words: &[String], folder: &Path) -> Result<()> {
    let (program, args) = words.split_first().context("no command")?;
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: {}\n{}",
            words.join(" "),
            output.status,
            said.trim_end()
        );
    }
    Ok(())
}

/// The words of a command line, put behind `setpriv` when another user is to run it.
fn unprivileged(user: Option<&User>, words: &[&str]) -> Vec<String> {
    let mut line = Vec::new();
    if let Some(User { uid, gid }) = user {
        line.extend([
            "setpriv".to_owned(),
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
        ]);
        line.extend(["--clear-groups", "--"].map(str::to_owned));
    }
    line.extend(words.iter().map(|word| (*word).to_owned()));
    line
}

pub(crate) fn is_root() -> Result<bool> {
    Ok(id("-u", None)? == 0)
}

/// The server's user, made when the machine has none.
fn server_user() -> Result<User> {
    if id("-u", Some(SERVER_USER)).is_err() {
        println!("making the system user {SERVER_USER}: the server does not run as root");
        command(Command::new("useradd").args([
            "--system",
            "--user-group",
            "--no-create-home",
            SERVER_USER,
        ]))?;
    }
    Ok(User {
        uid: id("-u", Some(SERVER_USER))?,
        gid: id("-g", Some(SERVER_USER))?,
    })
}

fn id(which: &str, user: Option<&str>) -> Result<u32> {
    let output = Command::new("id")
        .arg(which)
        .args(user)
        .output()
        .context("cannot start id")?;
    if !output.status.success() {
        bail!("no user {}", user.unwrap_or_default());
    }
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .context("id printed no number")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

fn text(path: &Path) -> Result<String> {
    Ok(path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_taken_by_number() {
        let versions = ["9.6", "15", "17", "8.4"].map(str::to_owned).to_vec();
        assert_eq!(newest_first(versions), ["17", "15", "9.6", "8.4"]);
    }

    #[test]
    fn a_server_that_cannot_start_is_told_from_one_that_has_not_yet() {
        assert!(!is_ready("LOG:  starting PostgreSQL 15.8\n").unwrap());
        assert!(
            is_ready("LOG:  could not bind\nFATAL:  could not create any TCP/IP sockets\n")
                .is_err()
        );
        assert!(
            is_ready(&format!(
                "LOG:  {READY}\nFATAL:  role \"x\" does not exist\n"
            ))
            .unwrap()
        );
    }

    #[test]
    fn root_hands_the_server_to_an_unprivileged_user() {
        let user = User { uid: 101, gid: 103 };
        let line = unprivileged(Some(&user), &["postgres", "-D", "data"]).join(" ");
        assert_eq!(
            line,
            "setpriv --reuid=101 --regid=103 --clear-groups -- postgres -D data"
        );
        assert_eq!(unprivileged(None, &["postgres"]), ["postgres"]);
    }
}
