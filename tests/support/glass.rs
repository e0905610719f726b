//! A pane in the way of those who dial a node over TLS: to either end it is the other one, by the files of both, so that
//! what is said can be read.

use std::path::Path;
use std::sync::{Arc, Mutex};

use cluster::spawn_named;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::stranger::{self, Stranger, certificates, key_in};

/// The most bytes of a welcome; what is longer begins with none.
const WELCOME_MOST: usize = 64 * 1024 + 8;

/// Whoever dials its address reaches the node.
pub struct Glass {
    pub address: String,
    key: Arc<Mutex<Option<u64>>>,
}

// === impl Glass ===

impl Glass {
    /// Before the node at `to`, whose directory is `node`, for the one whose directory is `dialer`.
    pub async fn before(to: &str, node: &Path, dialer: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port").to_string();
        let acceptor = acceptor(node);
        let key = Arc::<Mutex<Option<u64>>>::default();
        let (of, to, dialer) = (Arc::clone(&key), to.to_owned(), dialer.to_owned());
        spawn_named("glass", async move {
            while let Ok((near, _)) = listener.accept().await {
                let (key, acceptor) = (Arc::clone(&of), acceptor.clone());
                let far = Stranger::over_tls(&to, &dialer, Some(&dialer)).await;
                if let Ok(far) = far {
                    spawn_named("pane", carry(near, acceptor, far, key));
                }
            }
        });
        Self { address, key }
    }

    /// What asks of the node are to bear, as it has told the dialer when it last welcomed it.
    pub fn key(&self) -> Option<u64> {
        *self.key.lock().expect("not poisoned")
    }
}

/// Shows the node's own certificate.
fn acceptor(node: &Path) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates(node), stranger::key(node));
    TlsAcceptor::from(Arc::new(config.expect("a pair")))
}

/// Until an end is over.
async fn carry(
    near: TcpStream,
    acceptor: TlsAcceptor,
    far: Stranger,
    key: Arc<Mutex<Option<u64>>>,
) {
    let Ok(near) = acceptor.accept(near).await else {
        return;
    };
    let (mut asked, mut answers) = split(near);
    let (mut answered, mut asks) = split(far.into_stream());
    let back = async {
        let mut bytes = vec![0; 64 * 1024];
        // What it was answered with, until all of that is there.
        let mut answer = Some(Vec::new());
        while let Ok(count @ 1..) = answered.read(&mut bytes).await {
            if let Some(said) = &mut answer {
                said.extend(&bytes[..count]);
                let told = key_in(said);
                if told.is_some() {
                    *key.lock().expect("not poisoned") = told;
                }
                if told.is_some() || said.len() > WELCOME_MOST {
                    answer = None;
                }
            }
            let passed = answers.write_all(&bytes[..count]).await;
            if passed.is_err() || answers.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = back => {}
        _ = copy(&mut asked, &mut asks) => {}
    }
}
