//! `layers`: who may import whom, where cargo cannot see it.
//!
//! Inside `src/actors` a component is reached from another one only through its handle, its messages or an item of its
//! `mod.rs`; `src/http` sees components the same way. Folders of `src/http` do not import each other.
//! Between crates the manifests are compared with the allowed graph (`edges`).

use std::collections::BTreeSet;

use anyhow::Result;

use crate::edges;
use crate::paths::paths;
use crate::stage::{Finding, report};
use crate::workspace::{Source, Workspace};

/// Components of `src/actors` by design; any other folder there with a `handle` is one too.
const COMPONENTS: [&str; 7] = [
    "publisher",
    "devportal",
    "admin",
    "key_manager",
    "gateway",
    "traffic_manager",
    "change_feed",
];
/// Folders of `src/http` that know nothing of each other.
const HTTP_FOLDERS: [&str; 7] = [
    "gateway",
    "publisher",
    "devportal",
    "admin",
    "key_manager",
    "inspection",
    "console",
];
/// Modules of a component that are its door: the typed client, and what travels through it.
const DOORS: [&str; 3] = ["handle", "message", "command"];

/// Prints what breaks the layers.
///
/// # Errors
/// When something does.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut components: Vec<String> = COMPONENTS.iter().map(|name| (*name).to_owned()).collect();
    components.extend(workspace.folders_with("src/actors", "handle")?);
    let mut findings = edges::findings(&workspace.manifests()?);
    let sources = workspace.sources()?;
    let modules = modules(&sources);
    for source in sources {
        findings.extend(between_components(&source, &components, &modules));
        findings.extend(between_http_folders(&source));
    }
    report(&findings)
}

/// Every module of a component that has a file: `(component, module)`.
fn modules(sources: &[Source]) -> BTreeSet<(String, String)> {
    sources
        .iter()
        .filter_map(|source| source.path.strip_prefix("src/actors/")?.split_once('/'))
        .map(|(component, inside)| {
            let module = inside.split_once('/').map_or(inside, |(folder, _)| folder);
            let module = module.strip_suffix(".rs").unwrap_or(module);
            (component.to_owned(), module.to_owned())
        })
        .collect()
}

/// Uses of a component past its door, from other components and from http.
fn between_components(
    source: &Source,
    components: &[String],
    modules: &BTreeSet<(String, String)>,
) -> Vec<Finding> {
    let (own, root, depth) = if let Some(inside) = source.path.strip_prefix("src/actors/") {
        match inside.split_once('/') {
            Some((own, _)) if components.iter().any(|name| name == own) => {
                (own, "crate", depth(inside))
            }
            // root.rs and its like start the components and know them
            _ => return Vec::new(),
        }
    } else if source.path.starts_with("src/http/") {
        ("", "actors", usize::MAX)
    } else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for path in paths(&source.tokens) {
        let Some([other, rest @ ..]) = from_root(&path.segments, root, depth) else {
            continue;
        };
        if other == own || !components.contains(other) {
            continue;
        }
        let open = rest.first().is_some_and(|next| {
            DOORS.contains(&next.as_str())
                || next.starts_with(char::is_uppercase)
                // an item of its mod.rs: whatever has this one name and no file of its own
                || (rest.len() == 1
                    && next != "*"
                    && !modules.contains(&(other.clone(), next.clone())))
        });
        if !open {
            let shown = path.segments.join("::");
            let what = format!(
                "{shown} goes past the door of {other}: use {other}::handle, {other}::message or what its mod.rs exports"
            );
            findings.push(Finding::new(&source.path, path.line, what));
        }
    }
    findings
}

/// Uses of one http folder by another.
fn between_http_folders(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("src/http/") else {
        return Vec::new();
    };
    let Some((own, _)) = inside.split_once('/') else {
        return Vec::new();
    };
    if !HTTP_FOLDERS.contains(&own) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for path in paths(&source.tokens) {
        let Some([other, ..]) = from_root(&path.segments, "crate", depth(inside)) else {
            continue;
        };
        if other != own && HTTP_FOLDERS.contains(&other.as_str()) {
            let what =
                format!("http::{own} imports http::{other}: move what they share to src/http");
            findings.push(Finding::new(&source.path, path.line, what));
        }
    }
    findings
}

/// The segments below the crate's root, when the path starts there: by its name or by enough `super`.
fn from_root<'a>(segments: &'a [String], root: &str, depth: usize) -> Option<&'a [String]> {
    let (first, rest) = segments.split_first()?;
    if first == root {
        return Some(rest);
    }
    let up = segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    if up >= depth {
        segments.get(up..)
    } else {
        None
    }
}

/// How many modules deep a file lies below its crate's root: the number of `super` that reach it.
fn depth(inside: &str) -> usize {
    inside.split('/').filter(|part| *part != "mod.rs").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, text: &str) -> usize {
        let components: Vec<String> = COMPONENTS.iter().map(|name| (*name).to_owned()).collect();
        let source = Source::of(path, text);
        let files = [
            "src/actors/key_manager/actor.rs",
            "src/actors/key_manager/tokens/mod.rs",
        ];
        let modules = modules(&files.map(|file| Source::of(file, "")));
        between_components(&source, &components, &modules).len()
            + between_http_folders(&source).len()
    }

    #[test]
    fn a_component_is_entered_by_its_door_only() {
        let file = "src/actors/gateway/actor.rs";
        for text in [
            "use crate::key_manager::handle::KeyManagerHandle;",
            "use crate::key_manager::message::Validate;",
            "use crate::key_manager::command::Issue;",
            "use crate::key_manager::{KeyManagerHandle, Verdict, hash_hex};",
            "fn f() { crate::key_manager::spawn(1) }",
            "use crate::gateway::actor::State; use super::routes;",
            "use crate::root::Root;",
            "// crate::key_manager::actor::State\nconst A: &str = \"crate::key_manager::actor\";",
        ] {
            assert_eq!(refused(file, text), 0, "{text}");
        }
        for text in [
            "use crate::key_manager::actor::State;",
            "use crate::key_manager::actor;",
            "use crate::key_manager::tokens;",
            "use crate::{gateway::Routes, key_manager::{handle::H, tokens::Token}};",
            "use crate::key_manager;",
            "use crate::key_manager::*;",
            "fn f() { super::super::key_manager::actor::start() }",
            "fn f() -> crate::key_manager::actor::State {}",
            "fn f() { crate::key_manager::actor::start() }",
        ] {
            assert_eq!(refused(file, text), 1, "{text}");
        }
    }

    #[test]
    fn a_module_of_ones_own_may_bear_a_components_name() {
        assert_eq!(
            refused(
                "src/actors/gateway/routes.rs",
                "use super::change_feed::Cursor;"
            ),
            0
        );
        assert_eq!(
            refused(
                "src/actors/gateway/mod.rs",
                "use self::change_feed::cursor::Cursor;"
            ),
            0
        );
        assert_eq!(
            refused(
                "src/actors/gateway/mod.rs",
                "use super::change_feed::cursor::Cursor;"
            ),
            1
        );
    }

    #[test]
    fn the_root_of_the_actors_knows_every_component() {
        assert_eq!(
            refused(
                "src/actors/root.rs",
                "use crate::gateway::actor::GatewayActor;"
            ),
            0
        );
    }

    #[test]
    fn http_sees_handles_and_never_an_actors_state() {
        let file = "src/http/publisher/apis.rs";
        assert_eq!(
            refused(
                file,
                "use actors::publisher::PublisherHandle; use actors::publisher::handle::Page;"
            ),
            0
        );
        assert_eq!(refused(file, "use actors::publisher::actor::State;"), 1);
    }

    #[test]
    fn http_folders_do_not_import_each_other() {
        let file = "src/http/publisher/apis.rs";
        assert_eq!(
            refused(
                file,
                "use crate::error::ApiError; use crate::publisher::page; use crate::server;"
            ),
            0
        );
        assert_eq!(refused(file, "use crate::devportal::apis;"), 1);
        assert_eq!(refused(file, "use super::super::inspection::router;"), 1);
        assert_eq!(
            refused("src/http/server.rs", "use crate::devportal::router;"),
            0
        );
    }
}
