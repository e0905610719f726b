//! Crash points of writes that no request makes, swept by a test of the crate that makes them: the
//! test runs itself again as a child process, which is ended at one point of its work, and looks at
//! what is left. Development builds only, as the points are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The files that a child works on.
const DIRECTORY: &str = "HEADGATE_CRASH_SWEEP";
/// Set where it is to make them ready only.
const PREPARES: &str = "HEADGATE_CRASH_SWEEP_PREPARES";

/// Writes over databases in a directory.
pub trait Swept: Sized {
    /// The names of the writes, in the order in which they are made.
    const SWEPT: &'static [&'static str];

    /// Opens what lies in the directory.
    fn open(directory: &Path) -> impl Future<Output = Self>;

    /// Makes everything that the writes find.
    fn prepare(&self) -> impl Future<Output = ()>;

    /// Makes one of the writes, as one transaction.
    fn work(&self, write: &str) -> impl Future<Output = ()>;

    /// What is there, as far as the writes change it; nothing that another run has otherwise.
    fn state(&self) -> impl Future<Output = Vec<String>>;
}

/// Ends children at every point of the writes: each leaves what was before the write and nothing of
/// it, and whoever goes on from there comes to the same end. `test` is the calling test's full name
/// within its binary, `root` an empty directory.
///
/// # Errors
/// What did not hold, in words.
pub async fn sweep<S: Swept>(test: &str, root: &Path) -> Result<(), String> {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let child = S::open(Path::new(&directory)).await;
        if std::env::var_os(PREPARES).is_some() {
            child.prepare().await;
        } else {
            work(&child, S::SWEPT).await;
        }
        return Ok(());
    }
    let parent = Parent { test, root };
    let prepared = root.join("prepared");
    std::fs::create_dir(&prepared).map_err(|error| error.to_string())?;
    parent.whole(&prepared, (PREPARES, "1"))?;
    let states = states::<S>(&parent.copy("states")?).await;
    let mut steps = states.iter().zip(states.iter().skip(1));
    if steps.any(|(before, after)| before == after) {
        return Err(format!("a write changes nothing that is seen: {states:?}"));
    }
    for point in parent.points(S::SWEPT)? {
        let left = parent.end_at(&point)?;
        let write = write_of(&point);
        let at = S::SWEPT.iter().position(|one| *one == write);
        let at = at.unwrap_or_default();
        let found = S::open(&left).await;
        let state = found.state().await;
        if Some(&state) != states.get(at) {
            return Err(format!("{point} left {state:?}, before it was {states:?}"));
        }
        work(&found, S::SWEPT.get(at..).unwrap_or_default()).await;
        let state = found.state().await;
        if Some(&state) != states.last() {
            return Err(format!("after {point} it comes to {state:?} of {states:?}"));
        }
    }
    Ok(())
}

async fn work<S: Swept>(on: &S, writes: &[&str]) {
    for write in writes {
        on.work(write).await;
    }
}

/// What there is before each of the writes, and after the last.
async fn states<S: Swept>(directory: &Path) -> Vec<Vec<String>> {
    let whole = S::open(directory).await;
    let mut states = vec![whole.state().await];
    for write in S::SWEPT {
        whole.work(write).await;
        states.push(whole.state().await);
    }
    states
}

/// `apim.apis.create` of `apim.apis.create:3`.
fn write_of(point: &str) -> &str {
    point.rsplit_once(':').map_or(point, |(name, _)| name)
}

/// The test that sweeps.
struct Parent<'a> {
    test: &'a str,
    root: &'a Path,
}

// === impl Parent ===

impl Parent<'_> {
    /// Every point that a child passes, which must be some of each write.
    fn points(&self, writes: &[&str]) -> Result<BTreeSet<String>, String> {
        let list = self.root.join("points");
        let directory = self.copy("whole")?;
        self.whole(
            &directory,
            ("HEADGATE_CRASH_LIST", &list.display().to_string()),
        )?;
        let text = std::fs::read_to_string(list).unwrap_or_default();
        let points = text
            .lines()
            .filter(|point| writes.contains(&write_of(point)));
        let points: BTreeSet<String> = points.map(str::to_owned).collect();
        let passed = |write: &str| points.iter().any(|point| write_of(point) == write);
        match writes.iter().find(|write| !passed(write)) {
            Some(write) => Err(format!("nothing passes {write}: {text}")),
            None => Ok(points),
        }
    }

    /// Ends a child at `point` of a copy, which is given.
    fn end_at(&self, point: &str) -> Result<PathBuf, String> {
        let left = self.copy(&point.replace(':', "-"))?;
        let output = self.child(&left, ("HEADGATE_CRASH_AT", point))?;
        match output.status.code() {
            None => Ok(left),
            Some(_) => Err(format!("{point} ended nothing: {}", told(&output))),
        }
    }

    /// A child that comes to its end.
    fn whole(&self, directory: &Path, variable: (&str, &str)) -> Result<(), String> {
        let output = self.child(directory, variable)?;
        let is_one = String::from_utf8_lossy(&output.stdout).contains("1 passed");
        if output.status.success() && is_one {
            Ok(())
        } else {
            Err(format!("{} did not run: {}", self.test, told(&output)))
        }
    }

    fn child(&self, directory: &Path, (name, value): (&str, &str)) -> Result<Output, String> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(this);
        command.args([self.test, "--exact"]);
        command.env(DIRECTORY, directory).env(name, value);
        command.output().map_err(|error| error.to_string())
    }

    /// A copy of what was made ready.
    fn copy(&self, name: &str) -> Result<PathBuf, String> {
        let to = self.root.join(name);
        let from = self.root.join("prepared");
        let copied = Command::new("cp").arg("-a").args([&from, &to]).status();
        match copied {
            Ok(status) if status.success() => Ok(to),
            other => Err(format!("no copy {name}: {other:?}")),
        }
    }
}

fn told(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{} {out} {error}", output.status)
}
