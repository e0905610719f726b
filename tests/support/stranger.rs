//! Whoever dials a cluster port without being a node: in the clear, over TLS without a certificate, or
//! with one that was taken from a node's data directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Credentials, JoinAsk, JoinToken, NewKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::node::Node;

/// The kinds of first words.
pub const HELLO: u16 = 65_000;
pub const ANSWER: u16 = 65_001;
pub const JOIN: u16 = 65_002;
pub const BULK: u16 = 65_004;
/// Versions of the protocol with which one comes in.
pub const SPOKEN: [u8; 2] = [cluster::PROTOCOL_BEFORE.to_be_bytes()[1]; 2];

/// Where a node keeps its key and certificates.
const FILE: &str = "data/cluster/node.pem";
/// What nobody keeps open longer; a busy machine has time.
const CLOSED: Duration = Duration::from_secs(10);

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One connection.
pub struct Stranger(Box<dyn Stream>);

impl Stranger {
    pub async fn plain(address: &str) -> Self {
        Self(Box::new(connected(address).await))
    }

    /// Over TLS, by the authority of `node`, a directory; with the certificate of another one.
    pub async fn over_tls(
        address: &str,
        node: &Path,
        shown: Option<&Path>,
    ) -> std::io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        let authority = certificates(node).remove(1);
        roots.add(authority).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shown {
            Some(node) => builder
                .with_client_auth_cert(vec![certificates(node).remove(0)], key(node))
                .expect("a pair"),
            None => builder.with_no_client_auth(),
        };
        let name = "node.headgate.internal".try_into().expect("a name");
        let tcp = connected(address).await;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        Ok(Self(Box::new(stream.await?)))
    }

    /// What it speaks over.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.0
    }

    /// Whoever is closed on meanwhile has said enough.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }

    /// Says nothing more.
    pub async fn ends(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Waits for the end; gives what came before.
    pub async fn closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ended = tokio::time::timeout(CLOSED, self.0.read_to_end(&mut bytes)).await;
        // However it ends: a reset is an end.
        let _ = ended.expect("closed within seconds");
        bytes
    }

    /// The next bytes.
    pub async fn next(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 * 1024];
        let read = tokio::time::timeout(CLOSED, self.0.read(&mut bytes)).await;
        let length = read.expect("an answer in time").unwrap_or_default();
        bytes.truncate(length);
        bytes
    }
}

/// How often a node's log tells of strangers that were closed, by the kind of reason.
pub fn told(node: &Node) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for line in node.lines("connection to the cluster port was closed") {
        let kind = line["kind"].as_str().expect("a kind").to_owned();
        *told.entry(kind).or_default() += 1;
    }
    told
}

/// What a token gives to whoever says that it is the node of this id. It is kept in `node`, a directory, as nodes do.
pub async fn admitted(token: &str, id: &str, node: &Path) -> Credentials {
    let token: JoinToken = token.parse().expect("a token");
    let key = NewKey::generate().expect("a key");
    let ask = JoinAsk {
        token: token.id.clone(),
        secret: token.secret,
        cluster: String::new(),
        id: id.to_owned(),
        name: id.to_owned(),
        roles: Vec::new(),
        request: key.request().expect("a request"),
    };
    let admitted = cluster::join(&token, &ask).await.expect("a certificate");
    let credentials = key.with(&admitted.certificate, &admitted.authority);
    let credentials = credentials.expect("they fit together");
    let file = node.join(FILE);
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    std::fs::write(file, credentials.to_pem()).expect("a file");
    credentials
}

/// A node's key.
pub(super) fn key(node: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(&pem(node)).expect("a key")
}

fn pem(node: &Path) -> Vec<u8> {
    std::fs::read(node.join(FILE)).expect("credentials")
}

/// A node's own, then its authority's.
pub(super) fn certificates(node: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(&pem(node))
        .map(|certificate| certificate.expect("a certificate"))
        .collect()
}

async fn connected(address: &str) -> TcpStream {
    TcpStream::connect(address).await.expect("a connection")
}

/// An envelope and what is in it.
pub fn message(kind: u16, version: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a length");
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The first words of a node of this id, which speaks these versions of the protocol.
pub fn hello(id: &str, versions: [u8; 2]) -> Vec<u8> {
    hello_of("", id, versions)
}

/// The same of a node of this cluster.
pub fn hello_of(cluster: &str, id: &str, versions: [u8; 2]) -> Vec<u8> {
    let mut body = versions.to_vec();
    text(&mut body, cluster);
    member(&mut body, id);
    // The router, others.
    body.extend([1, 0]);
    message(HELLO, 1, &body)
}

/// What the asks are to bear of whoever was answered with this; none before all of a welcome is there, and of a refusal.
pub fn key_in(answer: &[u8]) -> Option<u64> {
    /// Whether it is a welcome, versions, cluster, who it is, the key, and whom it knows.
    type Told = (
        u16,
        (u16, u16),
        String,
        cluster::Member,
        u64,
        Vec<cluster::Member>,
    );
    let length = u32::from_be_bytes(answer.get(4..8)?.try_into().ok()?);
    let whole = answer.get(..8 + usize::try_from(length).ok()?)?;
    let told: Told = cluster::decode(ANSWER, 1, whole).ok()?;
    (told.0 == 0).then_some(told.4)
}

/// Those of a connection for what is large of this member.
pub fn bulk_hello_of(member: &cluster::Member, bears: u64) -> Vec<u8> {
    cluster::encode(BULK, 1, &(member, bears)).expect("first words")
}

/// The same of a node of this id, whose asks bear a small number.
pub fn bulk_hello(id: &str, bears: u8) -> Vec<u8> {
    let mut body = Vec::new();
    member(&mut body, id);
    body.push(bears);
    message(BULK, 1, &body)
}

fn member(body: &mut Vec<u8>, id: &str) {
    text(body, id);
    body.extend([1, 7]);
    text(body, &format!("name-of-{id}"));
    text(body, "127.0.0.1:1");
    // Roles, facts.
    body.extend([0, 0]);
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("a short text"));
    bytes.extend(text.as_bytes());
}
