//! The data that every crash starts from, and copies of it.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::parts::{self, Prepared};
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, PUBLISHER};
use crate::support::postgres;

/// What the plan `Few` lets through in a day.
pub const FEW: usize = 40;

/// A data directory, and the two databases on a server where they are not in it.
pub struct Base {
    pub prepared: Prepared,
    dir: TempDir,
    /// The server, and the URLs of API-M and Shared.
    server: Option<(String, [String; 2])>,
    copies: AtomicU32,
}

/// A copy; removed when dropped.
pub struct Copy {
    dir: TempDir,
    server: Option<(String, [String; 2])>,
}

/// The lines that name the two databases.
fn toml(server: &Option<(String, [String; 2])>) -> String {
    server
        .as_ref()
        .map_or_else(String::new, |(_, [apim, shared])| {
            format!("[database.apim]\nurl = \"{apim}\"\n[database.shared]\nurl = \"{shared}\"\n")
        })
}

// === impl Base ===

impl Base {
    /// Prepared on files, or on `server`.
    pub async fn prepare(server: Option<String>, backend: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = server.map(|server| {
            let urls =
                ["crash_apim", "crash_shared"].map(|name| postgres::fresh_database(&server, name));
            (server, urls)
        });
        let node = Node::start_with(Options {
            dir: Some(dir.path().to_owned()),
            toml: toml(&server),
            ..Options::default()
        });
        Self {
            prepared: prepare(node.await, backend).await,
            dir,
            server,
            copies: AtomicU32::new(0),
        }
    }

    /// How to start a node on the data itself.
    pub fn options(&self) -> Options {
        Options {
            dir: Some(self.dir.path().to_owned()),
            toml: toml(&self.server),
            ..Options::default()
        }
    }

    /// A copy of its own; what makes it does not stand in the way of other tests' answers.
    pub async fn copy(&self) -> Copy {
        let (data, server) = (self.dir.path().join("data"), self.server.clone());
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let made = tokio::task::spawn_blocking(move || {
            let dir = tempfile::tempdir().expect("a directory");
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([&data, dir.path()])
                .status();
            assert!(copied.expect("cp").success());
            let server = server.map(|(server, [apim, shared])| {
                let names = ["apim", "shared"].map(|name| format!("crash_{name}_{number}"));
                let copies = [(apim, &names[0]), (shared, &names[1])]
                    .map(|(url, name)| postgres::copy_database(&server, &url, name));
                (server, copies)
            });
            Copy { dir, server }
        });
        made.await.expect("a copy")
    }
}

// === impl Copy ===

impl Copy {
    /// How to start a node on it, with one variable.
    pub fn options(&self, variable: Option<(&str, String)>) -> Options {
        let variables = variable.into_iter();
        Options {
            dir: Some(self.dir.path().to_owned()),
            toml: toml(&self.server),
            environment: variables
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            ..Options::default()
        }
    }

    /// A file beside the data.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // A database that cannot be removed costs room and no promise.
        if let Some((server, urls)) = self.server.take() {
            let drop = move || {
                for url in &urls {
                    postgres::drop_database(&server, url);
                }
            };
            tokio::task::spawn_blocking(drop);
        }
    }
}

/// Makes the data and stops the node.
async fn prepare(mut node: Node, backend: &str) -> Prepared {
    let token = node.admin_token().await;
    let api = node.import(&token, "Base", "/base", backend).await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let mut document = node.get(&path).bearer(&token).send().await.json();
    document["scopes"] = parts::scopes(&[], &["admin"]);
    document["isDefaultVersion"] = json!(true);
    document["securityScheme"] = json!(["oauth2", "api_key"]);
    let put = node.put(&path).bearer(&token).json(&document);
    put.send().await.expect(200);
    node.deploy(&token, &api).await;
    node.lifecycle(&token, &api, "Publish").await;
    let holder = node.subscribed(&token, &api, "holder", "JWT").await;
    let few = json!({
        "policyName": "Few", "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": FEW}},
    });
    let plans = format!("{ADMIN}/throttling/policies/application");
    let few = node.post(&plans).bearer(&token).json(&few).send();
    few.await.expect(201);
    let plans = ("Few", "Unlimited");
    let few = node.subscribed_under(&token, &api, plans, "few", "JWT");
    let few = few.await.access;
    let application = node.application(&token, "idle", "Unlimited", "JWT").await;
    assert_eq!(node.terminate().await, Some(0));
    Prepared {
        token,
        api,
        application,
        subscribed: holder.application,
        key: holder.key,
        secret: holder.secret,
        access: holder.access,
        few,
        backend: backend.to_owned(),
    }
}
