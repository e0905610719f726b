//! What the Debian package's upgrade does with nodes that run, by its own script before a service manager of the test's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// By another process: were it open here, a program that another test starts at this moment would hold it open as well, and
/// nobody may run what somebody writes.
fn write_program(path: &Path, script: &str) {
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""]);
    let written = shell.arg(path).arg(script).status();
    assert!(written.unwrap().success(), "{}", path.display());
}

/// Units that run, in the order in which they are listed.
const UNITS: [&str; 3] = [
    "headgate.service",
    "headgate@gw1.service",
    "headgate@tm1.service",
];
/// Units of the machine and their states. A unit does not start where a file of its name says so, and is then tried again;
/// where one says so whoever restarts it is killed.
const SYSTEMCTL: &str = "#!/bin/sh
becomes() {
    sed -i \"s/^$1 loaded [a-z]*/$1 loaded $2/\" \"$DPKG_ROOT/units\"
}
case $1 in
list-units)
    for word; do
        case $word in --state=*) states=,${word#--state=}, ;; esac
    done
    while read -r unit load state rest; do
        case $states in *,$state,*) echo \"$unit $load $state $rest\" ;; esac
    done <\"$DPKG_ROOT/units\" ;;
is-active)
    while read -r unit _ state _; do
        [ \"$unit\" != \"$2\" ] || echo \"$state\"
    done <\"$DPKG_ROOT/units\"
    exit 3 ;;
restart)
    echo \"restart $2\" >>\"$DPKG_ROOT/done\"
    [ ! -e \"$DPKG_ROOT/killed $2\" ] || kill -9 $PPID
    if [ -e \"$DPKG_ROOT/broken $2\" ]; then
        becomes \"$2\" activating
        exit 1
    fi
    becomes \"$2\" active ;;
esac
";
/// A node is ready where its unit is up, unless a file of its directory's name says that it never is, or is not any more once its
/// unit was restarted.
const HEADGATE: &str = "#!/bin/sh
echo \"$1 $3\" >>\"$DPKG_ROOT/done\"
name=$(basename \"$3\")
unit=$(echo \"$name\" | tr - @)
grep -q \"^$unit.service loaded active\" \"$DPKG_ROOT/units\" || exit 3
[ ! -e \"$DPKG_ROOT/unready $name\" ] || exit 4
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
            write_program(&root.join("bin").join(name), script);
        }
        Self(root)
    }

    /// Configures the package, from a version before or for the first time; gives what it said and did this time.
    fn configure(&self, before: &str) -> (Output, Vec<String>) {
        let done = || fs::read_to_string(self.0.join("done")).unwrap();
        let earlier = done().lines().count();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/debian/postinst");
        let path = format!("{}:/usr/bin:/bin", self.0.join("bin").display());
        let mut command = Command::new("sh");
        command.arg(script).args(["configure", before]);
        command.env("DPKG_ROOT", &self.0).env("PATH", path);
        let output = command.output().unwrap();
        let done = done().lines().skip(earlier).map(str::to_owned).collect();
        (output, done)
    }

    /// A unit is in another state from now on.
    fn becomes(&self, unit: &str, state: &str) {
        let units = self.0.join("units");
        let all = fs::read_to_string(&units).unwrap();
        let line = |line: &str| match line.split_once(' ') {
            Some((name, _)) if name == unit => format!("{unit} loaded {state} x x\n"),
            _ => format!("{line}\n"),
        };
        fs::write(units, all.lines().map(line).collect::<String>()).unwrap();
    }

    /// What was so by a file of this name is not any more.
    fn is_put_right(&self, file: &str) {
        fs::remove_file(self.0.join(file)).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The units that were restarted.
fn restarted(done: &[String]) -> Vec<&str> {
    let restarts = done.iter().filter_map(|done| done.strip_prefix("restart "));
    restarts.collect()
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

#[test]
fn an_upgrade_that_is_run_again_goes_no_further_until_the_node_that_it_stopped_at_is_ready() {
    for (name, so, state) in [
        ("restarting", "broken headgate@gw1.service", "activating"),
        ("failed", "broken headgate@gw1.service", "failed"),
        ("unready-again", "lost headgate-gw1", "active"),
    ] {
        let machine = Machine::with(name, &[so]);
        let (output, _) = machine.configure("0.1.0");
        assert!(!output.status.success(), "{name}");
        for _ in 0..2 {
            machine.becomes("headgate@gw1.service", state);
            let (output, done) = machine.configure("0.1.0");
            assert!(!output.status.success(), "{name}");
            let told = told(&output);
            assert!(told.starts_with("headgate@gw1.service "), "{told}");
            assert_eq!(restarted(&done), ["headgate@gw1.service"], "{name}");
        }
        // By a build that starts, or by whoever repairs it.
        machine.is_put_right(so);
        let (output, done) = machine.configure("0.1.0");
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(told(&output), "", "{name}");
        let mut all = restarted(&done);
        all.sort_unstable();
        assert_eq!(all, UNITS, "{name}");
        // What was stopped at once is in no later upgrade's way.
        let (output, done) = machine.configure("0.2.0");
        assert!(output.status.success() && restarted(&done) == UNITS);
    }
}

#[test]
fn a_node_that_an_upgrade_stopped_at_and_that_somebody_stopped_is_not_started() {
    let gateway = "headgate@gw1.service";
    let machine = Machine::with("stopped", &["broken headgate@gw1.service"]);
    let (output, _) = machine.configure("0.1.0");
    assert!(!output.status.success());
    machine.is_put_right("broken headgate@gw1.service");
    machine.becomes(gateway, "inactive");
    let (output, done) = machine.configure("0.1.0");
    assert!(
        !output.status.success() && restarted(&done).is_empty(),
        "{done:?}"
    );
    let told = told(&output);
    assert!(
        told.contains("was stopped: systemctl start headgate@gw1"),
        "{told}"
    );
    // Whoever wants to do without it is told how to say so.
    let (_, says) = told.split_once("stay away, rm ").expect("how");
    let (held, _) = says.split_once(" first").expect("how");
    fs::remove_file(held).expect("there is one");
    let (output, done) = machine.configure("0.1.0");
    assert!(output.status.success(), "{output:?}");
    let others = [UNITS[0], UNITS[2]];
    assert_eq!(restarted(&done), others);
}

#[test]
fn an_upgrade_that_is_killed_while_a_node_restarts_begins_at_that_node_the_next_time() {
    let (killed, unready) = ("killed headgate@gw1.service", "unready headgate-gw1");
    let machine = Machine::with("killed", &[killed]);
    let (output, _) = machine.configure("0.1.0");
    assert!(!output.status.success());
    machine.is_put_right(killed);
    fs::write(machine.0.join(unready), "").unwrap();
    let (output, done) = machine.configure("0.1.0");
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(restarted(&done), ["headgate@gw1.service"]);
    machine.is_put_right(unready);
    let (output, done) = machine.configure("0.1.0");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(restarted(&done), UNITS);
}

#[test]
fn a_node_that_starts_gets_the_new_build_and_one_that_has_failed_before_is_told_of() {
    let machine = Machine::with("early", &["broken headgate.service"]);
    machine.becomes("headgate.service", "activating");
    machine.becomes("headgate@gw1.service", "failed");
    let (output, done) = machine.configure("0.1.0");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(restarted(&done), [UNITS[0], UNITS[2]]);
    let told = told(&output);
    for said in [
        "headgate.service is not ready, and was not before",
        "headgate@gw1.service has failed before",
    ] {
        assert!(told.contains(said), "{told}");
    }
}
