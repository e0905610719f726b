//! TLS from the data directory: a certificate authority of the node's own, made once, and a
//! server certificate under it, made anew at a start when the machine's names have changed.

mod certificate;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

pub(crate) use certificate::ServerCertificate;

use crate::data_dir::{DataDir, write_file};

/// Names that the server certificate is made for, beside the machine's own.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What the listeners speak TLS with.
#[derive(Debug, Clone)]
pub(crate) struct ServerTls {
    /// HTTP/2 and HTTP/1.1 by ALPN.
    pub(crate) config: Arc<rustls::ServerConfig>,
    /// The certificate in force.
    pub(crate) certificate: Arc<ServerCertificate>,
}

/// TLS for the listeners.
pub(crate) fn server_tls(data: &DataDir) -> anyhow::Result<ServerTls> {
    let ca = authority(data)?;
    let (chain, key) = server_certificate(data, &ca)?;
    let certificate = ServerCertificate::load(chain, key)?;
    let resolver = Arc::clone(&certificate);
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(ServerTls {
        config: Arc::new(config),
        certificate,
    })
}

struct Authority {
    pem: String,
    key: KeyPair,
}

/// Reads the authority, or makes it on the first start.
fn authority(data: &DataDir) -> anyhow::Result<Authority> {
    let (certificate, key) = (data.join("ca.pem"), data.join("tls/ca-key.pem"));
    if certificate.exists() && key.exists() {
        let pem = fs::read_to_string(&certificate)?;
        let key = KeyPair::from_pem(&fs::read_to_string(&key)?)
            .context("tls/ca-key.pem is no private key")?;
        return Ok(Authority { pem, key });
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Headgate node authority");
    let pair = KeyPair::generate()?;
    let pem = params.self_signed(&pair)?.pem();
    write_file(&key, 0o600, pair.serialize_pem().as_bytes())?;
    write_file(&certificate, 0o644, pem.as_bytes())?;
    Ok(Authority { pem, key: pair })
}

/// Where the server certificate and its key lie; both are made when they are missing or for
/// other names than the machine's.
fn server_certificate(data: &DataDir, authority: &Authority) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (data.join("tls/server.pem"), data.join("tls/server-key.pem"));
    let names = data.join("tls/server-names");
    let wanted = names_of_this_machine();
    let stands = certificate.exists()
        && key.exists()
        && fs::read_to_string(&names).is_ok_and(|made_for| made_for == wanted.join("\n"));
    if !stands {
        let mut params = CertificateParams::new(wanted.clone())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
            .distinguished_name
            .push(DnType::CommonName, "Headgate node");
        let pair = KeyPair::generate()?;
        let issuer = Issuer::from_ca_cert_pem(&authority.pem, &authority.key)
            .context("ca.pem is no certificate")?;
        let pem = params.signed_by(&pair, &issuer)?.pem();
        write_file(&key, 0o600, pair.serialize_pem().as_bytes())?;
        write_file(&certificate, 0o644, pem.as_bytes())?;
        write_file(&names, 0o644, wanted.join("\n").as_bytes())?;
    }
    Ok((certificate, key))
}

fn names_of_this_machine() -> Vec<String> {
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    let usable = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !host.is_empty() && host.chars().all(usable) && !names.contains(&host) {
        names.push(host);
    }
    names
}
