//! The allowed graph between our crates, compared with what the manifests say (normal, dev and build dependencies).

use crate::stage::Finding;
use crate::workspace::Manifest;

/// Package and the packages of ours it may depend on.
const GRAPH: [(&str, &[&str]); 7] = [
    (
        "headgate",
        &[
            "headgate-http",
            "headgate-actors",
            "headgate-storage",
            "headgate-cluster",
            "headgate-domain",
        ],
    ),
    (
        "headgate-http",
        &["headgate-actors", "headgate-cluster", "headgate-domain"],
    ),
    (
        "headgate-actors",
        &["headgate-storage", "headgate-cluster", "headgate-domain"],
    ),
    ("headgate-storage", &["headgate-domain"]),
    ("headgate-domain", &[]),
    ("headgate-cluster", &[]),
    ("xtask", &[]),
];

/// Dependencies between our crates that the graph does not have.
pub(crate) fn findings(manifests: &[Manifest]) -> Vec<Finding> {
    let shared = manifests.first().map(Manifest::shared).unwrap_or_default();
    let mut findings = Vec::new();
    for manifest in manifests {
        let Some((_, allowed)) = GRAPH.iter().find(|(name, _)| *name == manifest.name()) else {
            let what = format!(
                "crate {} has no place in the graph of layers: give it one in xtask",
                manifest.name()
            );
            findings.push(Finding::new(&manifest.path(), 0, what));
            continue;
        };
        for dependency in manifest.dependencies(&shared) {
            let ours = GRAPH.iter().any(|(name, _)| *name == dependency.package);
            if ours && !allowed.contains(&dependency.package.as_str()) {
                let what = format!(
                    "{} must not depend on {}",
                    manifest.name(),
                    dependency.package
                );
                findings.push(Finding::new(&manifest.path(), 0, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(folder: &str, text: &str) -> Manifest {
        Manifest {
            folder: folder.to_owned(),
            table: text.parse().unwrap(),
        }
    }

    fn refused(name: &str, dependencies: &str) -> Vec<String> {
        let root = "[workspace.dependencies]\nstorage = { path = \"src/storage\", package = \"headgate-storage\" }\n\
                    [package]\nname = \"headgate\"";
        let member = format!("[package]\nname = \"{name}\"\n{dependencies}");
        let found = findings(&[manifest("", root), manifest("src/member", &member)]);
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn http_never_depends_on_storage_not_even_for_its_tests() {
        let expected = ["headgate-http must not depend on headgate-storage"];
        assert_eq!(
            refused("headgate-http", "[dependencies]\nstorage.workspace = true"),
            expected
        );
        assert_eq!(
            refused(
                "headgate-http",
                "[dev-dependencies]\nstorage.workspace = true"
            ),
            expected
        );
        assert!(
            refused(
                "headgate-actors",
                "[dependencies]\nstorage.workspace = true"
            )
            .is_empty()
        );
    }

    #[test]
    fn the_domain_and_the_cluster_depend_on_none_of_ours() {
        for name in ["headgate-domain", "headgate-cluster"] {
            assert_eq!(
                refused(
                    name,
                    "[dependencies]\nstorage.workspace = true\nserde = \"1\""
                )
                .len(),
                1
            );
        }
    }

    #[test]
    fn a_new_crate_must_be_given_a_place() {
        assert_eq!(refused("headgate-extra", "").len(), 1);
    }
}
