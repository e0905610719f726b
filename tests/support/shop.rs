//! An API with a subscribed application in front of an upstream: where most tests of the data
//! plane begin.

use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::line;
use super::node::{Node, Options};
use super::platform::{PUBLISHER, Subscribed};
use super::upstream::Upstream;

/// `/shop/1.0.0` with `GET` and `POST /items` and `GET /items/{id}`, deployed and subscribed to.
pub struct Shop {
    pub node: Node,
    pub token: String,
    pub api: String,
    pub subscribed: Subscribed,
}

impl Shop {
    /// In front of `url`, on a node with these lines in `[gateway]`.
    pub async fn before(url: &str, toml: &str) -> Self {
        let node = Node::start_with(Options {
            toml: toml.to_owned(),
            ..Options::default()
        })
        .await;
        Self::on(node, url).await
    }

    /// In front of `url`, on a node that runs.
    pub async fn on(node: Node, url: &str) -> Self {
        let token = node.admin_token().await;
        let api = node.published(&token, "Shop", "/shop", url).await;
        let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
        Self {
            node,
            token,
            api,
            subscribed,
        }
    }

    /// In front of an upstream that answers what it was asked.
    pub async fn start(toml: &str) -> (Self, Upstream) {
        let upstream = Upstream::start().await;
        (Self::before(&upstream.url, toml).await, upstream)
    }

    /// Changes the API's document and deploys what came of it.
    pub async fn change(&self, edit: impl FnOnce(&mut Value)) {
        let base = format!("{PUBLISHER}/apis/{}", self.api);
        let got = self.node.get(&base).bearer(&self.token).send().await;
        let mut document = got.expect(200).json();
        edit(&mut document);
        let put = self.node.put(&base).bearer(&self.token).json(&document);
        put.send().await.expect(200);
        self.node.deploy(&self.token, &self.api).await;
    }

    /// The head of a request as it goes over the wire, without its end.
    pub fn head(&self, method: &str, path: &str) -> String {
        format!(
            "{method} /shop/1.0.0{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            self.subscribed.access
        )
    }

    /// A connection to the listener with TLS, with these protocols offered.
    pub async fn tls(&self, offers: &[&str]) -> TlsStream<TcpStream> {
        let address = self.node.https.replace("https://localhost", "127.0.0.1");
        line::tls(&address, &self.node.dir.join("data/ca.pem"), offers).await
    }

    /// `host:port` of the listener without TLS.
    pub fn address(&self) -> String {
        self.node.http.replace("http://localhost", "127.0.0.1")
    }
}
