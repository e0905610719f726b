//! Nothing in a manifest that no line uses: every dependency of a crate is the start of a path in its .rs files, and
//! every entry of `[workspace.dependencies]` is named by a member.

use std::collections::BTreeSet;

use crate::paths::paths;
use crate::stage::Finding;
use crate::workspace::{Manifest, Source};

/// Dependencies that no line uses.
pub(crate) fn findings(manifests: &[Manifest], sources: &[Source]) -> Vec<Finding> {
    let shared = manifests.first().map(Manifest::shared).unwrap_or_default();
    let mut findings = Vec::new();
    let mut named = BTreeSet::new();
    for manifest in manifests {
        let own = sources
            .iter()
            .filter(|source| owner(manifests, source) == Some(manifest.folder.as_str()));
        let used: BTreeSet<String> = own.flat_map(names).collect();
        for dependency in manifest.dependencies(&shared) {
            if !used.contains(&dependency.key.replace('-', "_")) {
                let what = format!(
                    "no line of {} uses {}: remove it",
                    manifest.name(),
                    dependency.key
                );
                findings.push(Finding::new(&manifest.path(), 0, what));
            }
            named.insert(dependency.key);
        }
    }
    let unnamed = shared.keys().filter(|key| !named.contains(*key));
    findings.extend(
        unnamed.map(|key| Finding::new("Cargo.toml", 0, format!("no crate uses {key}: remove it"))),
    );
    findings
}

/// The folder of the innermost member that holds the file.
fn owner<'a>(manifests: &'a [Manifest], source: &Source) -> Option<&'a str> {
    let inside = |folder: &str| folder.is_empty() || source.path.starts_with(&format!("{folder}/"));
    let folders = manifests.iter().map(|manifest| manifest.folder.as_str());
    folders
        .filter(|folder| inside(folder))
        .max_by_key(|folder| folder.len())
}

/// First segments of the paths in a file.
fn names(source: &Source) -> Vec<String> {
    let paths = paths(&source.tokens)
        .into_iter()
        .filter(|path| path.used || path.segments.len() > 1);
    paths
        .filter_map(|path| path.segments.into_iter().next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(files: &[(&str, &str)]) -> Vec<String> {
        let root = "[workspace.dependencies]\ntower-http = \"1\"\nbytes = \"1\"\nidle = \"1\"\n\
                    [package]\nname = \"headgate\"\n[dependencies]\nbytes.workspace = true";
        let member = "[package]\nname = \"member\"\n[dependencies]\ntower-http.workspace = true";
        let manifests = [("", root), ("src/member", member)].map(|(folder, text)| Manifest {
            folder: folder.to_owned(),
            table: text.parse().unwrap(),
        });
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::of(path, text))
            .collect();
        findings(&manifests, &sources)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn a_dependency_that_no_line_of_its_crate_uses_is_refused() {
        let used = [
            ("src/member/lib.rs", "use tower_http::x;"),
            ("src/main.rs", "fn f(b: bytes::Bytes) {}"),
        ];
        assert_eq!(refused(&used), ["no crate uses idle: remove it"]);
        let elsewhere = [
            ("src/main.rs", "use bytes; use tower_http::x;"),
            ("src/member/lib.rs", "// tower_http::x"),
        ];
        assert_eq!(
            refused(&elsewhere),
            [
                "no line of member uses tower-http: remove it",
                "no crate uses idle: remove it"
            ]
        );
    }

    #[test]
    fn a_variable_with_a_crates_name_is_no_use_of_it() {
        let found = refused(&[
            ("src/main.rs", "let bytes = 1;"),
            ("src/member/lib.rs", "use tower_http as http;"),
        ]);
        assert_eq!(
            found,
            [
                "no line of headgate uses bytes: remove it",
                "no crate uses idle: remove it"
            ]
        );
    }
}
