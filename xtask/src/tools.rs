//! `deployed`: each file of `deploy/` by the tool of the program that reads it, where that is on the PATH; of one that is
//! not it is said that it was not run. `formats` reads the files in any case.
//!
//! What the files name and this machine has not (certificates, the installed binary, ports below 1024) is put in their
//! place in copies in `target/deployed`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::formats;
use crate::programs::on_path;
use crate::stage::{Stages, report, shown};
use crate::workspace::Workspace;

const CHART: &str = "deploy/helm/headgate";
const COMPOSE: &str = "deploy/compose/compose.yaml";
const PROMETHEUS: &str = "deploy/prometheus";

/// Judges them all; failures are noted in `stages`.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages) {
    let root = workspace.root();
    stages.keep("deploy: formats", || report(&formats::findings(root)?));
    stages.keep("deploy: scripts", || scripts(root));
    let place = root.join("target/deployed");
    let tools: [(&str, bool, Judge); 6] = [
        ("systemd-analyze", on_path("systemd-analyze"), units),
        // Both read the certificates that they are given.
        ("haproxy", on_path("haproxy") && on_path("openssl"), haproxy),
        ("nginx", on_path("nginx") && on_path("openssl"), nginx),
        ("helm", on_path("helm"), chart),
        ("promtool", on_path("promtool"), alerts),
        ("compose", compose_tool().is_some(), compose),
    ];
    for (tool, is_there, judge) in tools {
        if !is_there {
            println!("== deploy: {tool}: not run, for it is not on the PATH");
            continue;
        }
        stages.keep(&format!("deploy: {tool}"), || {
            // What was there was for other files.
            let _ = fs::remove_dir_all(&place);
            fs::create_dir_all(&place).context("target/deployed cannot be made")?;
            judge(root, &place)
        });
    }
}

/// Gets the root and a folder for what stands in for what this machine has not.
type Judge = fn(&Path, &Path) -> Result<()>;

/// Runs a tool; what it says is shown when it refuses.
fn passes(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let ran = command.output();
    let ran = ran.with_context(|| format!("cannot start {shown}"))?;
    let said = [ran.stdout, ran.stderr].concat();
    ensure!(
        ran.status.success(),
        "{shown}: {}: {}",
        ran.status,
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

/// A shell reads each without running it.
fn scripts(root: &Path) -> Result<()> {
    for path in formats::files(root, "deploy")? {
        let text = fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if first.starts_with(b"#!") && first.ends_with(b"sh") {
            let shell = String::from_utf8_lossy(first).replace("#!", "");
            passes(Command::new(shell.trim()).arg("-n").arg(root.join(&path)))?;
        }
    }
    Ok(())
}

/// A copy of a file with other words in the place of some.
fn copy(root: &Path, path: &str, to: &Path, pairs: &[(&str, &str)]) -> Result<()> {
    let text = fs::read_to_string(root.join(path));
    let mut text = text.with_context(|| format!("cannot read {path}"))?;
    for (from, with) in pairs {
        ensure!(text.contains(from), "{path} does not name {from} any more");
        text = text.replace(from, with);
    }
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

fn units(root: &Path, place: &Path) -> Result<()> {
    // Any program will do: a unit whose program is not there is refused for that alone.
    let stand_in = [("/usr/bin/headgate", "/bin/true")];
    for (from, unit) in [
        ("headgate.service", "headgate.service"),
        ("headgate@.service", "headgate@one.service"),
    ] {
        let copied = place.join(from);
        copy(root, &format!("deploy/systemd/{from}"), &copied, &stand_in)?;
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(place.join(unit));
        let ran = verify
            .output()
            .context("systemd-analyze cannot be started")?;
        // It says what it ignores, such as a setting that there is not, and succeeds; of other units of this machine too.
        let said = String::from_utf8_lossy(&ran.stderr);
        let is_ours = said.lines().any(|line| line.contains("headgate"));
        ensure!(
            ran.status.success() && !is_ours,
            "systemd-analyze verify {unit}: {said}"
        );
    }
    Ok(())
}

fn haproxy(root: &Path, place: &Path) -> Result<()> {
    let pem = certificate(place)?;
    let balancer = ["/etc/haproxy/headgate.pem", "/etc/haproxy/headgate-ca.pem"];
    let compose = ["/edge/edge.pem", "/edge/nodes.pem"];
    for (path, certificates) in [
        ("deploy/balancer/haproxy.cfg", balancer),
        ("deploy/compose/haproxy.cfg", compose),
    ] {
        let copied = place.join("haproxy.cfg");
        copy(root, path, &copied, &certificates.map(|from| (from, &*pem)))?;
        passes(Command::new("haproxy").args(["-c", "-f"]).arg(&copied))?;
    }
    Ok(())
}

fn nginx(root: &Path, place: &Path) -> Result<()> {
    let pem = certificate(place)?;
    let copied = place.join("nginx.conf");
    let log = place.join("error.log");
    let log = log.to_string_lossy();
    let pairs = [
        ("/etc/nginx/headgate.pem", &*pem),
        ("/etc/nginx/headgate-key.pem", &pem),
        ("/etc/nginx/headgate-ca.pem", &pem),
        ("/var/log/nginx/error.log", &log),
        // It binds what it listens on, which not everybody may below 1024.
        ("listen 443 ", "listen 127.0.0.1:18443 "),
    ];
    copy(root, "deploy/balancer/nginx.conf", &copied, &pairs)?;
    let pid = format!("pid {};", place.join("nginx.pid").display());
    let mut test = Command::new("nginx");
    test.args(["-t", "-e", "stderr", "-g", &pid]);
    passes(test.arg("-p").arg(place).arg("-c").arg(&copied))
}

fn chart(root: &Path, place: &Path) -> Result<()> {
    let chart = root.join(CHART);
    for join in ["tokens", "plaintext"] {
        let settings = [
            format!("cluster.join={join}"),
            "database.existingSecret=databases".to_owned(),
            "gateway.httpsEndpoint=https://apis.example.com".to_owned(),
        ];
        let given = settings.iter().flat_map(|one| ["--set", one]);
        let mut lint = Command::new("helm");
        lint.args(["lint", "--strict"]).args(given.clone());
        passes(lint.arg(&chart))?;
        let mut template = Command::new("helm");
        template.args(["template", "headgate"]).args(given);
        passes(template.arg("--output-dir").arg(place).arg(&chart))?;
    }
    Ok(())
}

fn alerts(root: &Path, _: &Path) -> Result<()> {
    let check = |what: &[&str], file: &str| {
        let mut promtool = Command::new("promtool");
        let promtool = promtool.arg("check").args(what);
        passes(promtool.arg(root.join(PROMETHEUS).join(file)))
    };
    check(&["rules"], "alerts.yaml")?;
    // Its files of secrets are another machine's.
    check(&["config", "--syntax-only"], "prometheus.yaml")
}

fn compose(root: &Path, _: &Path) -> Result<()> {
    let mut compose = compose_tool().context("no compose is there any more")?;
    // sample.env leaves both for a person to give.
    for password in ["POSTGRES_PASSWORD", "ADMIN_PASSWORD"] {
        compose.env(password, "a-password");
    }
    let file = root.join(COMPOSE);
    passes(compose.arg("-f").arg(file).arg("config"))
}

/// Whichever of those that read such files is there.
fn compose_tool() -> Option<Command> {
    let mut docker = Command::new("docker");
    docker.arg("compose");
    // A docker without the plugin takes `compose` for a word that it does not know.
    let version = Command::new("docker").args(["compose", "version"]).output();
    if version.is_ok_and(|ran| ran.status.success()) {
        return Some(docker);
    }
    let others = ["docker-compose", "podman-compose"];
    others
        .into_iter()
        .find(|tool| on_path(tool))
        .map(Command::new)
}

/// A certificate of nobody's, with its key, in one file: for callers, for nodes, as an authority.
fn certificate(place: &Path) -> Result<String> {
    let (pem, key) = (place.join("all.pem"), place.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(&key);
    passes(openssl.arg("-out").arg(&pem))?;
    let both = fs::read_to_string(&pem)? + &fs::read_to_string(key)?;
    fs::write(&pem, both)?;
    Ok(pem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_for_what_a_file_does_not_name_any_more_is_told() {
        let root = std::env::temp_dir().join(format!("headgate-tools-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a.cfg"), "crt /etc/a.pem").unwrap();
        let to = root.join("b.cfg");
        let copied = copy(&root, "a.cfg", &to, &[("/etc/a.pem", "/tmp/x.pem")]);
        let text = fs::read_to_string(&to).unwrap();
        let gone = copy(&root, "a.cfg", &to, &[("/etc/b.pem", "/tmp/x.pem")]);
        fs::remove_dir_all(&root).unwrap();
        copied.unwrap();
        assert_eq!(text, "crt /tmp/x.pem");
        let told = gone.unwrap_err().to_string();
        assert_eq!(told, "a.cfg does not name /etc/b.pem any more");
    }
}
