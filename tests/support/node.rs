//! The real binary as a child process, on port 0, in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::eventually;
use super::http::{Call, Client};

/// A running node; killed when dropped.
pub struct Node {
    pub dir: PathBuf,
    pub client: Client,
    pub management: String,
    pub http: String,
    pub https: String,
    pub admin_password: String,
    child: Child,
    _owned: Option<tempfile::TempDir>,
}

/// How to start one.
#[derive(Default)]
pub struct Options {
    /// Lines added to the configuration file.
    pub toml: String,
    /// Flags in the place of a configuration file, for a process that runs in its directory.
    pub flags: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// An existing directory to start in.
    pub dir: Option<PathBuf>,
    /// It is not waited for until it is ready: only until it listens.
    pub unready: bool,
    /// Standard error is a pipe that nobody reads, instead of the log file.
    pub unread_log: bool,
    /// Another build than this one.
    pub binary: Option<PathBuf>,
}

impl Node {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        let (dir, owned) = match options.dir.clone() {
            Some(dir) => (dir, None),
            None => {
                let owned = tempfile::tempdir().expect("a directory");
                (owned.path().to_owned(), Some(owned))
            }
        };
        let child = launch(&dir, &options);
        let node = Self::listening(dir, owned, child).await.expect("it runs");
        if !options.unready {
            node.until_ready().await;
        }
        node
    }

    /// A start in an existing directory that may end before it is ready: none then.
    pub async fn start_or_end(options: &Options) -> Option<Self> {
        let dir = options.dir.clone().expect("a directory");
        let ports = dir.join("data/run/ports.json");
        let mut child = launch(&dir, options);
        let listens = eventually(30, "the node listens or ends", || {
            let ended = child.try_wait().expect("wait").is_some();
            let told = std::fs::read_to_string(&ports).unwrap_or_default();
            let listens = told.contains(&format!("\"pid\":{}", child.id()));
            async move { (ended || listens).then_some(!ended) }
        });
        if !listens.await {
            return None;
        }
        let mut node = Self::listening(dir, None, child).await.ok()?;
        eventually(30, "the node is ready or ends", || {
            let ended = node.has_ended();
            let ready = node.get("/readyz");
            async move {
                let ready = ready.try_send().await;
                let ready = ready.is_ok_and(|answer| answer.status.is_success());
                (ended || ready).then_some(!ended)
            }
        })
        .await
        .then_some(node)
    }

    /// Whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// A start in an existing directory that does not come to its end; gives how it ended.
    pub async fn ends(options: &Options) -> std::process::ExitStatus {
        let dir = options.dir.as_deref().expect("a directory");
        let mut child = launch(dir, options);
        let ended = eventually(30, "the start ends", || {
            let ended = child.try_wait().expect("wait");
            async move { ended }
        });
        ended.await
    }

    /// Waits until it listens; when it ends instead, says how.
    async fn listening(
        dir: PathBuf,
        owned: Option<tempfile::TempDir>,
        mut child: Child,
    ) -> Result<Self, String> {
        let data = dir.join("data");
        let ports: Result<Value, String> = eventually(30, "the node listens", || {
            let ended = child.try_wait().expect("wait").map(|status| {
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                Err(format!("the node ended with {status}: {log}"))
            });
            let ports = std::fs::read_to_string(data.join("run/ports.json")).ok();
            let ours = ports
                .and_then(|text| serde_json::from_str::<Value>(&text).ok())
                .filter(|ports| ports["pid"] == child.id());
            async move { ours.map(Ok).or(ended) }
        })
        .await;
        let ports = ports?;
        let url = |scheme: &str, name: &str| {
            // A node without the gateway's role has no ingress.
            let address = ports[name].as_str().unwrap_or(":0");
            let port = address.rsplit(':').next().expect("a port");
            format!("{scheme}://localhost:{port}")
        };
        Ok(Self {
            client: Client::trusting(&data.join("ca.pem")),
            management: url("https", "management"),
            http: url("http", "ingress_http"),
            https: url("https", "ingress_https"),
            admin_password: std::fs::read_to_string(data.join("admin-password"))
                .unwrap_or_default()
                .trim()
                .to_owned(),
            dir,
            child,
            _owned: owned,
        })
    }

    pub async fn until_ready(&self) {
        eventually(40, "readyz answers 200", || async {
            let answer = self.get("/readyz").try_send().await.ok()?;
            answer.status.is_success().then_some(())
        })
        .await;
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        self.client
            .call(method, &format!("{}{path}", self.management))
    }

    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call("PUT", path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// A call through the gateway over plain HTTP.
    pub fn api(&self, method: &str, path: &str) -> Call {
        self.client.call(method, &format!("{}{path}", self.http))
    }

    /// Where management is served without TLS, when it is configured.
    pub fn management_http(&self) -> String {
        let ports = std::fs::read(self.dir.join("data/run/ports.json")).expect("ports");
        let ports: Value = serde_json::from_slice(&ports).expect("JSON");
        format!(
            "http://{}",
            ports["management_http"].as_str().expect("a port")
        )
    }

    /// Where other nodes dial this one.
    pub fn cluster_address(&self) -> String {
        let ports = std::fs::read(self.dir.join("data/run/ports.json")).expect("ports");
        let ports: Value = serde_json::from_slice(&ports).expect("JSON");
        ports["cluster"].as_str().expect("a port").to_owned()
    }

    /// SIGKILL; what was written stays.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// SIGSTOP or SIGCONT.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// A client that has to connect first.
    pub fn client_without_connections(&self) -> Client {
        Client::trusting(&self.dir.join("data/ca.pem"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bearer token that the data directory holds for the operator.
    pub fn operator(&self) -> String {
        let path = self.dir.join("data/run/operator-credential");
        std::fs::read_to_string(path)
            .expect("credential")
            .trim()
            .to_owned()
    }

    /// A command of the binary against this node.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        command
            .args(words)
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .env_remove("HEADGATE_TOKEN");
        command
    }

    /// Everything the node has written to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// What its log tells in these words.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| line["message"] == message)
            .collect()
    }

    /// Its log tells of these orders of the operator in turn, one line for each outcome, which begins so.
    pub async fn has_audited(&self, what: &str, (field, of): (&str, &str), outcomes: &[&str]) {
        let audited = || {
            let log = self.log();
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let of_target = lines.filter(|line: &Value| line["target"] == "audit");
            let asked = of_target.filter(|line| line["message"] == what && line[field] == of);
            asked.collect::<Vec<Value>>()
        };
        let all = super::eventually(10, "each order has its lines", || async {
            Some(audited()).filter(|lines| lines.len() >= outcomes.len())
        })
        .await;
        assert_eq!(all.len(), outcomes.len(), "{all:?}");
        for (line, outcome) in all.iter().zip(outcomes) {
            assert_eq!(
                (&line["user"], &line["tenant"]),
                (&"operator".into(), &"carbon.super".into()),
                "{line}"
            );
            // Where from: who asked this node, or the node that somebody asked elsewhere.
            let is_from = line["address"] == "127.0.0.1" || line["at"].is_string();
            assert!(is_from, "{line}");
            let told = line["outcome"].as_str().expect("an outcome");
            assert!(told.starts_with(outcome), "{line}");
        }
    }

    /// SIGKILL, then the same directory again.
    pub async fn crash_and_restart(mut self, options: Options) -> Self {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        let child = launch(&self.dir, &options);
        let (dir, owned) = (self.dir.clone(), self._owned.take());
        let node = Self::listening(dir, owned, child).await.expect("it runs");
        if !options.unready {
            node.until_ready().await;
        }
        node
    }

    /// Whether the process ends by itself within `seconds`, as one does that was told to crash.
    pub async fn aborts_within(&mut self, seconds: u64) -> bool {
        let until = Instant::now() + Duration::from_secs(seconds);
        while !self.has_ended() {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// SIGTERM; gives the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(killed.expect("kill").success());
        for _ in 0..1_500 {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the node did not end within 30 s of SIGTERM");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6_000);
            eprintln!("--- node log ---\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}

fn launch(dir: &Path, options: &Options) -> Child {
    let config = dir.join("headgate.toml");
    let text = format!(
        "[node]\ndata_dir = \"data\"\n[listen]\nmanagement = \"127.0.0.1:0\"\n\
         ingress_http = \"127.0.0.1:0\"\ningress_https = \"127.0.0.1:0\"\n[log]\nfilter = \
         \"info\"\n[gateway]\nallow_loopback_endpoints = true\n{}",
        options.toml
    );
    std::fs::write(&config, text).expect("a configuration file");
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .expect("a log file");
    let log = if options.unread_log {
        Stdio::piped()
    } else {
        Stdio::from(log)
    };
    let own = Path::new(env!("CARGO_BIN_EXE_headgate"));
    let mut command = Command::new(options.binary.as_deref().unwrap_or(own));
    match options.flags.as_slice() {
        [] => command.args(["start", "--config"]).arg(&config),
        flags => command.arg("start").args(flags).current_dir(dir),
    };
    command
        // A busy machine makes nobody behind.
        .env("HEADGATE__CLUSTER__CHANGE_WAIT_MS", "5000")
        // Nobody looks whether it is ready before the next call, but where a test says so.
        .env("HEADGATE__NODE__DRAIN_DELAY_MS", "0")
        .envs(options.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the node starts")
}
