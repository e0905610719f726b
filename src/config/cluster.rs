//! `[cluster]`: how this node meets others.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::{JoinToken, PROTOCOL, PROTOCOL_BEFORE, TokenError};
use domain::serving_lease::OVER_MS;

use super::listen::shift;
use super::node::Node;
use super::read;
use super::source::{ConfigError, Source};

/// The port of the cluster, where a node that has seeds names none.
const DEFAULT: &str = "127.0.0.1:4370";

/// `[cluster]`
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// `cluster.listen`, default `off`; with seeds `127.0.0.1:4370`: where other nodes dial this one
    /// (`--listen-cluster`); it moves with the offset, an address on the command line does not; seeds with `off` are
    /// refused.
    pub(crate) listen: Option<SocketAddr>,
    /// `cluster.advertise`, default what is listened on: where the others are told to dial (`--advertise`); must be given
    /// where that is every address of the machine (`0.0.0.0`, `[::]`).
    pub(crate) advertise: Option<String>,
    /// `cluster.seeds`, default none: nodes to dial first, `host:port` separated by commas (`--seeds`); one that has none
    /// founds a cluster.
    pub(crate) seeds: Vec<String>,
    /// `cluster.plaintext`, default `false`: whether nodes of other machines are spoken to in the clear by one that has
    /// no certificate; without it only loopback addresses are.
    pub(crate) plaintext: bool,
    /// `cluster.tls`, default `auto`: when a node that has no certificate yet speaks TLS: `auto`, where `cluster.listen`
    /// is no loopback address; `always`. One that has a certificate always does.
    pub(crate) tls: Tls,
    /// `cluster.join`, default none: the token by which a node without a certificate joins (`--join`); shown nowhere.
    pub(crate) join: Option<JoinToken>,
    /// `cluster.join_file`, default none: a file that has this token, as `headgate cluster token --out` writes it; read only
    /// where a node has no certificate that is good; beside `cluster.join` it is not.
    pub(crate) join_file: Option<PathBuf>,
    /// `cluster.probe_ms`, default `500`: between two probes of a member.
    pub(crate) probe: Duration,
    /// `cluster.suspect_ms`, default `2000`: silence after which a member is asked last.
    pub(crate) suspect: Duration,
    /// `cluster.evict_ms`, default `5000`: silence after which a member is disconnected; it comes back by itself.
    pub(crate) evict: Duration,
    /// `cluster.protocol`, default `newest`: the highest version of the protocol between nodes that this one speaks:
    /// `newest`, or `before`, the one before that; see *Upgrading nodes one by one*.
    pub(crate) protocol: u16,
    /// `cluster.change_wait_ms`, default `2100`: how long the answer of a change waits for whoever has to apply it, 2100
    /// to 5000; then it names who has not, and what that means.
    pub(crate) change_wait: Duration,
}

/// When nodes speak TLS; one that has a certificate always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Wherever others than this machine's are heard.
    Auto,
    /// On loopback too.
    Always,
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn read(
        source: &mut Source,
        (node, file): (&Node, Option<&Path>),
        port_offset: u16,
    ) -> Result<Self, ConfigError> {
        let seeds = source.take("cluster.seeds", "", seeds)?;
        let join = source.take_secret("cluster.join", join)?;
        let join_file = join_file(source, file)?;
        let is_alone = seeds.is_empty() && join.is_none() && join_file.is_none();
        let default = if is_alone { "off" } else { DEFAULT };
        let listen = source.take("cluster.listen", default, read::optional_address)?;
        let configured = listen;
        let listen = shifted(source, listen, port_offset)?;
        let advertise = source.take("cluster.advertise", "", advertise)?;
        stays(source, (configured, listen), advertise.as_deref())?;
        let probe = source.take("cluster.probe_ms", "500", read::milliseconds)?;
        let more_than = |least: Duration| {
            move |text: &str| match read::milliseconds(text)? {
                time if time > least => Ok(time),
                _ => Err(format!("must be more than {} ms", least.as_millis())),
            }
        };
        let suspect = source.take("cluster.suspect_ms", "2000", more_than(probe))?;
        let cluster = Self {
            listen,
            advertise,
            seeds,
            plaintext: source.take("cluster.plaintext", "false", read::flag)?,
            tls: source.take("cluster.tls", "auto", tls)?,
            join,
            join_file,
            probe,
            suspect,
            evict: source.take("cluster.evict_ms", "5000", more_than(suspect))?,
            protocol: source.take("cluster.protocol", "newest", protocol)?,
            change_wait: source.take("cluster.change_wait_ms", "2100", change_wait)?,
        };
        cluster.check(source, node)?;
        Ok(cluster)
    }

    /// Refuses what would start and never work.
    fn check(&self, source: &Source, node: &Node) -> Result<(), ConfigError> {
        let Some(listen) = self.listen else {
            return self.check_alone(source, node);
        };
        if listen.ip().is_unspecified() && self.advertise.is_none() {
            let problem = format!(
                "{listen} is no address that others can dial: say which is with cluster.advertise \
                 (--advertise), or listen on that"
            );
            return Err(source.wrong("cluster.listen", problem));
        }
        let joined = self.join.iter().map(|token| token.address.as_str());
        for other in self.seeds.iter().map(String::as_str).chain(joined) {
            self.reached_by(other)
                .map_err(|problem| source.wrong("cluster.listen", problem))?;
        }
        if self.plaintext && self.tls == Tls::Always {
            let problem = "is true, and cluster.tls = always means the contrary: leave one out";
            return Err(source.wrong("cluster.plaintext", problem.to_owned()));
        }
        Ok(())
    }

    /// Whether it is told of others that it dials first.
    pub(crate) fn dials_others(&self) -> bool {
        !self.seeds.is_empty() || self.join.is_some() || self.join_file.is_some()
    }

    /// Whether a node at this address, that this one dials, could dial it back.
    fn reached_by(&self, other: &str) -> Result<(), String> {
        let ip = other.parse::<SocketAddr>().map(|address| address.ip());
        let is_beyond = ip.is_ok_and(|ip| !ip.to_canonical().is_loopback());
        match self.listen {
            Some(listen) if is_beyond && listen.ip().is_loopback() && self.advertise.is_none() => {
                Err(format!(
                    "{listen} is reached from this machine alone, and {other} is another: listen on an \
                     address that the others can dial (--listen-cluster)"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The token that `cluster.join_file` has; none where nothing is set.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is none of a token, or its node could not dial this one: in words that name the setting.
    pub(crate) fn token_of_file(&self) -> Result<Option<JoinToken>, String> {
        let Some(path) = &self.join_file else {
            return Ok(None);
        };
        let of_file = |problem: String| format!("cluster.join_file: {}: {problem}", path.display());
        let without = |problem: &str| {
            of_file(format!(
                "{problem}: put the token there that headgate cluster token --out writes on a node of the control plane"
            ))
        };
        let (text, is_open) = read_whole(path).map_err(|error| without(&error.to_string()))?;
        if is_open {
            tracing::warn!(file = %path.display(), "the file of the join token may be read by others, who can join by it: chmod 600 it");
        }
        let token = join(text.trim()).map_err(of_file)?;
        let token = token.ok_or_else(|| without("it is empty"))?;
        self.reached_by(&token.address)
            .map_err(|problem| format!("cluster.listen: {problem}"))?;
        Ok(Some(token))
    }

    /// A node that meets no other does everything itself.
    fn check_alone(&self, source: &Source, node: &Node) -> Result<(), ConfigError> {
        let joins = [
            ("cluster.join", self.join.is_some()),
            ("cluster.join_file", self.join_file.is_some()),
        ];
        if let Some((key, _)) = joins.into_iter().find(|(_, is_set)| *is_set) {
            let problem =
                format!("is off, and {key} is for a node that others dial: give an address");
            return Err(source.wrong("cluster.listen", problem));
        }
        if !self.seeds.is_empty() {
            let problem = "is off, and cluster.seeds names nodes that dial this one as well: give an \
                           address, or leave one of the two out";
            return Err(source.wrong("cluster.listen", problem.to_owned()));
        }
        match node.lacks() {
            None => Ok(()),
            Some((role, need)) => {
                let (role, need) = (role.as_str(), need.as_str());
                let problem = format!(
                    "a node alone needs {need} for {role}: add it, or name other nodes with \
                     cluster.seeds (--seeds), or where they dial this one with cluster.listen \
                     (--listen-cluster)"
                );
                Err(source.wrong("node.roles", problem))
            }
        }
    }
}

/// It moves with the offset; an address in full on the command line is meant as it is.
fn shifted(
    source: &Source,
    listen: Option<SocketAddr>,
    offset: u16,
) -> Result<Option<SocketAddr>, ConfigError> {
    match listen {
        Some(address) if !source.was_flag("cluster.listen") => shift(address, offset)
            .map(Some)
            .map_err(|problem| source.wrong("cluster.listen", problem)),
        listen => Ok(listen),
    }
}

/// What others are told does not move: with the port of before the offset they would dial nobody.
fn stays(
    source: &Source,
    (configured, listen): (Option<SocketAddr>, Option<SocketAddr>),
    advertise: Option<&str>,
) -> Result<(), ConfigError> {
    let (Some(configured), Some(listen), Some(told)) = (configured, listen, advertise) else {
        return Ok(());
    };
    let port = told
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    if listen != configured && port == Some(configured.port()) {
        let problem = format!(
            "{told} stays as it is, and listen.port_offset moves cluster.listen to {listen}: give the port where \
             others reach this node"
        );
        return Err(source.wrong("cluster.advertise", problem));
    }
    Ok(())
}

/// At least as long as a gateway that does not answer may serve on (S3); less than what answers of
/// changes are waited for.
fn change_wait(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(OVER_MS.unsigned_abs());
    match read::milliseconds(text)? {
        time if (least..=Duration::from_secs(5)).contains(&time) => Ok(time),
        _ => Err(format!("must be from {} to 5000 ms", least.as_millis())),
    }
}

/// A node may be kept at the version before, so that those of the former build can come back (M1).
fn protocol(text: &str) -> Result<u16, String> {
    match text {
        "newest" => Ok(PROTOCOL),
        "before" => Ok(PROTOCOL_BEFORE),
        _ => Err(format!(
            "must be newest, which is {PROTOCOL}, or before, which is {PROTOCOL_BEFORE}"
        )),
    }
}

fn tls(text: &str) -> Result<Tls, String> {
    match text {
        "auto" => Ok(Tls::Auto),
        "always" => Ok(Tls::Always),
        _ => Err("must be auto or always".to_owned()),
    }
}

fn join(text: &str) -> Result<Option<JoinToken>, String> {
    match text {
        "" => Ok(None),
        text => {
            let token: JoinToken = text
                .parse()
                .map_err(|error: TokenError| error.to_string())?;
            match is_host_and_port(&token.address) {
                true => Ok(Some(token)),
                false => Err(TokenError.to_string()),
            }
        }
    }
}

/// A file's text, and whether others than its owner may read or write it.
fn read_whole(path: &Path) -> std::io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mode = file.metadata()?.permissions().mode();
    Ok((text, mode & 0o077 != 0))
}

fn join_file(source: &mut Source, file: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
    let key = "cluster.join_file";
    let path = source.take(key, "", read::text)?;
    let path = (!path.is_empty()).then(|| PathBuf::from(path));
    // A relative path in a file is meant beside that file, wherever the command runs.
    Ok(match file.and_then(Path::parent) {
        Some(parent) if source.was_from_file(key) => path.map(|path| parent.join(path)),
        _ => path,
    })
}

fn seeds(text: &str) -> Result<Vec<String>, String> {
    let seeds = read::list(text)?;
    match seeds.iter().find(|seed| !is_host_and_port(seed)) {
        Some(bad) => Err(format!("{bad:?} is no host:port")),
        None => Ok(seeds),
    }
}

fn advertise(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        text if is_anywhere(text) => Err(format!("{text:?} is no address that others can dial")),
        text if is_host_and_port(text) => Ok(Some(text.to_owned())),
        text => Err(format!("{text:?} is no host:port")),
    }
}

/// Whether it names every address of a machine, which is none to dial.
fn is_anywhere(text: &str) -> bool {
    let address = text.parse::<SocketAddr>();
    address.is_ok_and(|address| address.ip().is_unspecified())
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let good =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    !host.is_empty()
        && host.len() <= 255
        && host.chars().all(good)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_host_and_a_port() {
        for good in ["127.0.0.1:4370", "[::1]:4370", "cp-1.example:1"] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in [
            "cp1",
            ":4370",
            "cp1:",
            "cp1:0",
            "cp1:99999",
            "a b:1",
            "http://cp1:1",
        ] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
