//! `headgate demo` as a person meets it: all steps, Ctrl-C, and again on what is there.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{eventually, terminal};

/// The demo's ports before any offset.
const PORTS: [u16; 4] = [9443, 8280, 8243, 8290];
/// Offsets to choose from: the highest port stays below 32768.
const PLACES: usize = 220;

struct Demo {
    child: Child,
    said: std::path::PathBuf,
    /// What the person at its terminal has seen.
    shown: Arc<Mutex<String>>,
}

impl Demo {
    fn start(dir: &Path, name: &str, words: &[String]) -> Self {
        let said = dir.join(name);
        let (person, terminal) = terminal::open();
        let child = Command::new(env!("CARGO_BIN_EXE_headgate"))
            .arg("demo")
            .args(words)
            .current_dir(dir)
            .env_remove("HEADGATE_ADMIN_USER")
            .env_remove("HEADGATE_ADMIN_PASSWORD")
            .stdout(std::fs::File::create(&said).expect("a file"))
            .env("TERM", "xterm")
            .stderr(terminal)
            .spawn()
            .expect("the binary");
        let shown = terminal::heard(person);
        Self { child, said, shown }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    async fn until_it_says(&mut self, text: &str) -> String {
        eventually(180, text, || {
            let said = self.said();
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the demo ended with {status}: {said}");
            }
            async move { said.contains(text).then_some(said) }
        })
        .await
    }

    /// Ctrl-C; its exit code and all it said.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = Pid::from_raw(pid).expect("a pid");
        kill_process(pid, Signal::INT).expect("SIGINT");
        let status = self.child.wait().expect("its end");
        (status.code(), self.said())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An offset at which all ports are free, that no other test of this process gets: below those that
/// the machine gives to whoever asks for any.
fn free_offset() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mine = usize::try_from(std::process::id()).expect("a number");
    for _ in 0..PLACES {
        let place = (mine + NEXT.fetch_add(1, Ordering::Relaxed)) % PLACES;
        let offset = u16::try_from(1_000 + place * 97).expect("small");
        if PORTS.iter().all(|port| free(port + offset)) {
            return offset;
        }
    }
    panic!("no free ports");
}

#[tokio::test]
async fn the_demo_goes_from_a_description_to_a_refused_call_and_finds_everything_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let shift = free_offset();
    let offset = ["--port-offset".to_owned(), shift.to_string()];
    let mut first = Demo::start(dir.path(), "first", &offset);
    let said = first.until_it_says("The node stays up").await;
    assert!(said.contains("call 5: 200"), "{said}");
    assert!(said.contains(": 429"), "{said}");
    assert!(!said.contains("eyJ"), "no token is printed");
    // A step that takes a while is seen to go on, by its name beside a wheel that turns.
    let (_, node) = steps(&said).into_iter().next().expect("a step");
    let title = node.lines().next().expect("a title");
    let shown = first.shown.lock().expect("not poisoned").clone();
    assert!(shown.matches(title).count() > 1, "{title}: {shown}");
    let listens = listens(first.child.id());
    assert!(
        listens.iter().all(|at| at.ip().is_loopback()),
        "{listens:?}"
    );
    let ports: Vec<u16> = listens.iter().map(SocketAddr::port).collect();
    for port in PORTS {
        assert!(ports.contains(&(port + shift)), "{port}: {listens:?}");
    }
    for (number, step) in steps(&said) {
        let calls: Vec<_> = step.lines().filter(|line| line.contains("curl ")).collect();
        let repeatable = |line: &&str| line.contains("--cacert headgate-demo/ca.pem");
        assert!(calls.iter().all(repeatable), "{step}");
        // The first one starts the node.
        assert_eq!(calls.is_empty(), number == 1, "{step}");
    }
    let minute = early_in_a_minute().await;
    the_printed_lines_repeat_their_steps(dir.path(), &said);
    let shown = said;
    let (code, said) = first.interrupt();
    assert_eq!(code, Some(0));
    assert!(
        said.contains("headgate start --config headgate-demo/headgate.toml"),
        "{said}"
    );
    assert!(said.contains("headgate sample-backend"), "{said}");
    // The second run asks for no offset: the configuration keeps it.
    let mut second = Demo::start(dir.path(), "second", &[]);
    second.until_it_says(": 429").await;
    let is_same = minute == since_the_epoch().as_secs() / 60;
    let said = second.until_it_says("The node stays up").await;
    let waited = said.contains("waiting ") && said.contains(" for a fresh window");
    assert!(waited || !is_same, "{said}");
    assert_eq!(said.matches("found: ").count(), 8, "{said}");
    assert!(!said.contains("made: "), "{said}");
    // What the first run called in the same minute counts: then a fresh window is waited for.
    assert!(said.contains("call 5: 200"), "{said}");
    assert!(said.contains(": 429"), "{said}");
    the_printed_lines_can_be_repeated_at_will(dir.path(), &shown);
    let (code, said) = second.interrupt();
    assert_eq!(code, Some(0));
    the_printed_commands_run(dir.path(), &said).await;
    a_secret_that_counts_no_more_is_told_with_what_to_do(dir.path()).await;
}

/// Where a process listens, as its kernel tells it.
fn listens(pid: u32) -> Vec<SocketAddr> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let links: Vec<_> = links.map(|to| to.display().to_string()).collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}"));
        for line in table.unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_own = links.contains(&format!("socket:[{}]", fields[9]));
            // 0A: it listens.
            if is_own && fields[3] == "0A" {
                found.push(address(fields[1]));
            }
        }
    }
    found
}

/// An address as a table of sockets writes it: words of four bytes, each turned round, and a port.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').expect("an address");
    let word = |at: usize| u32::from_str_radix(&ip[at..at + 8], 16).expect("hex");
    let port = u16::from_str_radix(port, 16).expect("hex");
    let words: Vec<[u8; 4]> = (0..ip.len())
        .step_by(8)
        .map(|at| word(at).to_le_bytes())
        .collect();
    let ip = match <[u8; 16]>::try_from(words.concat()) {
        Ok(bytes) => IpAddr::from(bytes).to_canonical(),
        Err(_) => IpAddr::from(words[0]),
    };
    SocketAddr::new(ip, port)
}

/// As after another secret was made by hand.
async fn a_secret_that_counts_no_more_is_told_with_what_to_do(dir: &Path) {
    let file = "headgate-demo/run/demo-application-client";
    let kept = std::fs::read_to_string(dir.join(file)).expect("a credential");
    let (key, _) = kept.split_once(':').expect("two");
    std::fs::write(dir.join(file), format!("{key}:of-before")).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    let run = tokio::task::spawn_blocking({
        let dir = dir.to_owned();
        move || command.arg("demo").current_dir(dir).output()
    });
    let ended = run.await.expect("a thread").expect("its end");
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(told.contains(file), "{told}");
    assert!(told.contains("remove the file"), "{told}");
    // What it says helps.
    std::fs::remove_file(dir.join(file)).expect("removed");
    let mut again = Demo::start(dir, "again", &[]);
    let said = again.until_it_says("The node stays up").await;
    assert!(said.contains(": 429"), "{said}");
    assert_eq!(again.interrupt().0, Some(0));
}

#[allow(clippy::disallowed_methods, reason = "windows follow the clock")]
fn since_the_epoch() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970")
}

/// Waits for the first half of a minute, so that what is called now is most likely still in it when
/// the next run calls; gives its number.
async fn early_in_a_minute() -> u64 {
    while since_the_epoch().as_secs() % 60 > 30 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    since_the_epoch().as_secs() / 60
}

/// All lines that a demo printed, run one after the other by a shell while its node is up: each
/// reaches what its step reached, which says of things that exist that they do.
fn the_printed_lines_repeat_their_steps(dir: &Path, said: &str) {
    let lines = said.lines().filter_map(|line| line.strip_prefix("    $ "));
    let lines: Vec<&str> = lines.collect();
    let script = format!("set -eu\n{}\n", lines.join("\n"));
    std::fs::write(dir.join("script"), script).expect("a file");
    let told = "write-out = \"%{stderr}%{http_code}\\n\"\n";
    std::fs::write(dir.join(".curlrc"), told).expect("a file");
    let mut shell = Command::new("sh");
    let shell = shell.arg("script").current_dir(dir).env("CURL_HOME", dir);
    let output = shell.output().expect("a shell");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let statuses: Vec<&str> = told.lines().collect();
    let (last, before) = statuses.split_last().expect("statuses");
    let wanted = [
        "200", "200", "409", "201", "200", "200", "409", "409", "409", "409", "200",
    ];
    assert_eq!(before, wanted, "{told}");
    assert!(["200", "429"].contains(last), "{told}");
}

/// The numbered steps of what a demo said.
fn steps(said: &str) -> Vec<(usize, &str)> {
    let mut steps = Vec::new();
    let mut rest = said;
    for number in 1..=13 {
        let heading = format!("\n{number:>2}. ");
        let at = rest
            .find(&heading)
            .unwrap_or_else(|| panic!("no step {number}: {said}"));
        rest = &rest[at + heading.len()..];
        let next = format!("\n{:>2}. ", number + 1);
        steps.push((number, &rest[..rest.find(&next).unwrap_or(rest.len())]));
    }
    steps
}

/// All lines twice, in one shell: of a client's secrets only the last two work.
fn the_printed_lines_can_be_repeated_at_will(dir: &Path, said: &str) {
    let lines = said.lines().filter_map(|line| line.strip_prefix("    $ "));
    let lines: Vec<&str> = lines.filter(|line| line.contains("curl ")).collect();
    let script = format!(
        "{0}\n{0}\necho; echo \"$TOKEN $CALL_TOKEN\"",
        lines.join("\n")
    );
    let mut shell = Command::new("sh");
    let ended = shell.args(["-c", &script]).current_dir(dir).output();
    let ended = ended.expect("a shell");
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    let failed = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(failed, "");
    let tokens: Vec<&str> = told.lines().last().unwrap_or("").split(' ').collect();
    assert_eq!(tokens.len(), 2, "{told}");
    assert!(
        tokens.iter().all(|token| token.starts_with("eyJ")),
        "{told}"
    );
}

/// What is left runs on as the demo's last words say.
async fn the_printed_commands_run(dir: &Path, said: &str) {
    let commands = said
        .lines()
        .filter_map(|line| line.strip_prefix("    headgate "));
    let mut running: Vec<Child> = commands
        .map(|words| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
            let command = command.args(words.split(' ')).current_dir(dir);
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("the binary")
        })
        .collect();
    assert_eq!(running.len(), 2, "{said}");
    eventually(30, "the node is ready again", || async {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        let command = command.args(["status", "--data-dir", "headgate-demo"]);
        let status = command.current_dir(dir).output().expect("its end").status;
        status.success().then_some(())
    })
    .await;
    for child in &mut running {
        assert!(child.try_wait().expect("its state").is_none(), "it goes on");
        let pid = i32::try_from(child.id()).expect("a pid");
        let pid = Pid::from_raw(pid).expect("a pid");
        kill_process(pid, Signal::TERM).expect("SIGTERM");
        assert_eq!(child.wait().expect("its end").code(), Some(0));
    }
}

#[tokio::test]
async fn the_demo_can_be_interrupted_while_its_node_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    // A database that takes the connection and says nothing: the start waits for it.
    let database = TcpListener::bind("127.0.0.1:0").expect("a port");
    database.set_nonblocking(true).expect("an option");
    let port = database.local_addr().expect("an address").port();
    let data = dir.path().join("headgate-demo");
    std::fs::create_dir(&data).expect("a directory");
    let config = format!(
        "[node]\ndata_dir = \".\"\n[listen]\nport_offset = {}\n[database.apim]\n\
         url = \"postgres://hg@127.0.0.1:{port}/apim\"\n",
        free_offset()
    );
    std::fs::write(data.join("headgate.toml"), config).expect("a configuration file");
    let demo = Demo::start(dir.path(), "said", &[]);
    let _silent = eventually(30, "the start is under way", || async {
        database.accept().ok()
    })
    .await;
    assert_eq!(demo.interrupt().0, Some(0));
}

#[tokio::test]
async fn a_first_run_that_finds_a_port_busy_leaves_the_offset_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let offset = free_offset();
    // Not the first of its ports: the demo's own service has one as well.
    let _taken = TcpListener::bind(("127.0.0.1", 9443 + offset)).expect("a port");
    let run = |offset: u16| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        command.args(["demo", "--port-offset", &offset.to_string()]);
        command.current_dir(dir.path());
        command.output().expect("its end")
    };
    let refused = run(offset);
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains(&(9443 + offset).to_string()), "{told}");
    assert!(!dir.path().join("headgate-demo").exists());
    let other = ["--port-offset".to_owned(), (offset + 1).to_string()];
    let mut second = Demo::start(dir.path(), "second", &other);
    second.until_it_says(" 2. ").await;
    assert_eq!(second.interrupt().0, Some(0));
}
