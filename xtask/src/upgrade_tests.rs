//! What the Debian package's upgrade does with nodes that run, by its own script before a service manager of the test's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Units that run, in the order in which they are listed.
const UNITS: [&str; 3] = [
    "headgate.service",
    "headgate@gw1.service",
    "headgate@tm1.service",
];
/// Writes down what is asked for; a unit does not start where a file of its name says so.
const SYSTEMCTL: &str = "#!/bin/sh
case $1 in
list-units) cat \"$DPKG_ROOT/units\" ;;
restart)
    echo \"restart $2\" >>\"$DPKG_ROOT/done\"
    [ ! -e \"$DPKG_ROOT/broken $2\" ] ;;
esac
";
/// A node is ready unless a file of its directory's name says that it never is, or is not any more once its unit was restarted.
const HEADGATE: &str = "#!/bin/sh
echo \"$1 $3\" >>\"$DPKG_ROOT/done\"
name=$(basename \"$3\")
[ ! -e \"$DPKG_ROOT/unready $name\" ] || exit 4
unit=$(echo \"$name\" | tr - @)
[ ! -e \"$DPKG_ROOT/lost $name\" ] || ! grep -q \"restart $unit\" \"$DPKG_ROOT/done\" || exit 4
";
const NOTHING: &str = "#!/bin/sh\n";

/// A machine that is upgraded; gone when dropped.
struct Machine(PathBuf);

impl Machine {
    /// Of which these are so, by files of these names.
    fn with(name: &str, so: &[&str]) -> Self {
        let root = std::env::temp_dir();
        let root = root.join(format!("headgate-upgrade-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("run/systemd/system")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::write(
            root.join("units"),
            UNITS
                .map(|unit| format!("{unit} loaded active running x\n"))
                .concat(),
        )
        .unwrap();
        fs::write(root.join("done"), "").unwrap();
        for file in so {
            fs::write(root.join(file), "").unwrap();
        }
        for (name, script) in [
            ("systemctl", SYSTEMCTL),
            ("headgate", HEADGATE),
            ("getent", NOTHING),
            ("chown", NOTHING),
            ("chmod", NOTHING),
        ] {
            let path = root.join("bin").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(root)
    }

    /// Configures the package, from a version before or for the first time; gives what it said and did.
    fn configure(&self, before: &str) -> (Output, Vec<String>) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/debian/postinst");
        let path = format!("{}:/usr/bin:/bin", self.0.join("bin").display());
        let mut command = Command::new("sh");
        command.arg(script).args(["configure", before]);
        command.env("DPKG_ROOT", &self.0).env("PATH", path);
        let output = command.output().unwrap();
        let done = fs::read_to_string(self.0.join("done")).unwrap();
        (output, done.lines().map(str::to_owned).collect())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_upgrade_restarts_each_node_that_runs_once_the_one_before_is_ready_again() {
    let machine = Machine::with("all", &[]);
    let (output, done) = machine.configure("0.1.0");
    assert!(output.status.success(), "{output:?}");
    let of = |unit: &str, data: &str| {
        let status = format!("status /var/lib/{data}");
        [status.clone(), format!("restart {unit}"), status]
    };
    let datas = ["headgate", "headgate-gw1", "headgate-tm1"];
    let wanted: Vec<_> = UNITS
        .iter()
        .zip(datas)
        .flat_map(|(unit, data)| of(unit, data))
        .collect();
    assert_eq!(done, wanted);
    assert_eq!(told(&output), "");
    let first = Machine::with("first", &[]);
    let (output, done) = first.configure("");
    assert!(output.status.success() && done.is_empty(), "{done:?}");
}

#[test]
fn an_upgrade_fails_at_the_first_node_that_does_not_come_back_and_leaves_the_others() {
    for (name, so, why) in [
        (
            "broken",
            "broken headgate@gw1.service",
            "journalctl -u headgate@gw1.service",
        ),
        (
            "lost",
            "lost headgate-gw1",
            "headgate status --data-dir /var/lib/headgate-gw1",
        ),
    ] {
        let machine = Machine::with(name, &[so]);
        let (output, done) = machine.configure("0.1.0");
        assert!(!output.status.success(), "{name}");
        let told = told(&output);
        assert!(
            told.starts_with("headgate@gw1.service ") && told.contains(why),
            "{told}"
        );
        assert!(told.contains("dpkg --configure headgate"), "{told}");
        let later = done.iter().any(|done| done.contains("tm1"));
        assert!(
            !later && done.contains(&"restart headgate.service".to_owned()),
            "{done:?}"
        );
    }
}

#[test]
fn a_node_that_was_not_ready_before_holds_no_upgrade_up() {
    let machine = Machine::with("unready", &["unready headgate-gw1"]);
    let (output, done) = machine.configure("0.1.0");
    assert!(output.status.success(), "{output:?}");
    assert!(told(&output).contains("was not before"), "{output:?}");
    assert!(
        done.contains(&"restart headgate@tm1.service".to_owned()),
        "{done:?}"
    );
}
