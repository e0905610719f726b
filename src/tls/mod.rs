//! TLS from the data directory: a certificate authority of the node's own, made once, and a
//! server certificate under it, made anew at a start when the machine's names have changed. What an
//! operator has put there is used as it is.

mod certificate;
mod trust;

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actors::key_manager::hash_hex;
use anyhow::{Context as _, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

pub(crate) use certificate::{Renewed, ServerCertificate};

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

/// TLS for the listeners at `addresses`, which callers reach by these `names` as well.
pub(crate) fn server_tls(
    data: &DataDir,
    addresses: &[IpAddr],
    names: &[String],
) -> anyhow::Result<ServerTls> {
    let ca = authority(data)?;
    let mut all = names_of_this_machine(addresses);
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    let (chain, key) = server_certificate(data, &ca, &all)?;
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
    /// None when `ca.pem` is there without a key that fits: it can be trusted, but nothing can be
    /// made under it.
    key: Option<KeyPair>,
}

/// Reads the authority, or makes it on the first start. A `ca.pem` that is there is what clients
/// trust, so it is never replaced.
fn authority(data: &DataDir) -> anyhow::Result<Authority> {
    let (certificate, key) = (data.join("ca.pem"), data.join("tls/ca-key.pem"));
    let known = match key.exists() {
        true => Some(
            KeyPair::from_pem(&fs::read_to_string(&key)?)
                .context("tls/ca-key.pem is no private key")?,
        ),
        false => None,
    };
    if certificate.exists() {
        let pem = fs::read_to_string(&certificate)?;
        let own = known.filter(|pair| trust::fits(&pem, pair));
        return Ok(Authority { pem, key: own });
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Headgate node authority");
    // A key that is there is kept: what it has signed stays good.
    let pair = match known {
        Some(pair) => pair,
        None => {
            let pair = KeyPair::generate()?;
            write_file(&key, 0o600, pair.serialize_pem().as_bytes())?;
            pair
        }
    };
    let pem = params.self_signed(&pair)?.pem();
    write_file(&certificate, 0o644, pem.as_bytes())?;
    Ok(Authority {
        pem,
        key: Some(pair),
    })
}

/// Where the server certificate and its key lie. Both are made when one is missing or not the
/// other's, and made anew for other names or under another authority, unless somebody else has put
/// one of them there.
fn server_certificate(
    data: &DataDir,
    authority: &Authority,
    names: &[String],
) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (data.join("tls/server.pem"), data.join("tls/server-key.pem"));
    let made_for = data.join("tls/server-names");
    let made = Made::read(data, authority)?;
    if !made.is_ours(&certificate) || !made.is_ours(&key) {
        let file = certificate.display();
        tracing::info!(%file, "the server's certificate is an operator's, it does not follow the machine's names");
        return Ok((certificate, key));
    }
    // A crash between the two writes, or one of two restored, leaves a pair that fits nobody.
    let complete = fs::read_to_string(&key).is_ok_and(|key| {
        let pair = KeyPair::from_pem(&key);
        fs::read_to_string(&certificate)
            .is_ok_and(|pem| pair.is_ok_and(|pair| trust::fits(&pem, &pair)))
    });
    let names_text = names.join("\n");
    let is_for_them = fs::read_to_string(&made_for).is_ok_and(|made_for| made_for == names_text);
    // Under an authority that was replaced it opens nothing, and vouches for a key that may be lost.
    let is_under_it =
        || fs::read_to_string(&certificate).is_ok_and(|pem| trust::is_under(&authority.pem, &pem));
    if complete && is_for_them && is_under_it() {
        return Ok((certificate, key));
    }
    let Some(signer) = &authority.key else {
        ensure!(
            complete,
            "tls/ca-key.pem is gone or not of ca.pem, so that no server certificate can be made \
             under it: put the right one back, or put a certificate of your own into tls/server.pem and its key into \
             tls/server-key.pem"
        );
        tracing::warn!(
            "the server's certificate is not for the machine's names of now or not under ca.pem, and \
             no other can be made: tls/ca-key.pem is gone or not of ca.pem"
        );
        return Ok((certificate, key));
    };
    let mut params = CertificateParams::new(names.to_vec())?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // All nodes' authorities have one name: by its key a balancer that trusts several finds this one.
    params.use_authority_key_identifier_extension = true;
    params
        .distinguished_name
        .push(DnType::CommonName, trust::NODE);
    let pair = KeyPair::generate()?;
    let issuer =
        Issuer::from_ca_cert_pem(&authority.pem, signer).context("ca.pem is no certificate")?;
    let (pem, secret) = (
        params.signed_by(&pair, &issuer)?.pem(),
        pair.serialize_pem(),
    );
    // First what tells them as ours: a crash in between must not make them somebody else's.
    made.with([&pem, &secret]).write(data)?;
    write_file(&key, 0o600, secret.as_bytes())?;
    write_file(&certificate, 0o644, pem.as_bytes())?;
    write_file(&made_for, 0o644, names_text.as_bytes())?;
    Ok((certificate, key))
}

/// The fingerprints of what this node has made, latest last: other files are an operator's own.
struct Made(Vec<String>);

// === impl Made ===

impl Made {
    const FILE: &str = "tls/server-made";
    /// The last pair, the one before, and what crashes have left.
    const KEPT: usize = 16;

    fn read(data: &DataDir, authority: &Authority) -> anyhow::Result<Self> {
        match fs::read_to_string(data.join(Self::FILE)) {
            Ok(text) => Ok(Self(text.lines().map(str::to_owned).collect())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self::recognized(data, authority))
            }
            Err(error) => Err(error).context("tls/server-made cannot be read"),
        }
    }

    /// What an older version has made and not noted, or a copy came without the note: it bears a
    /// node's name, and nobody but this node signs with its authority's key.
    fn recognized(data: &DataDir, authority: &Authority) -> Self {
        let [certificate, key] = ["tls/server.pem", "tls/server-key.pem"]
            .map(|name| fs::read_to_string(data.join(name)).unwrap_or_default());
        let ours = authority.key.is_some()
            && trust::is_a_nodes(&certificate)
            && trust::is_under(&authority.pem, &certificate)
            && KeyPair::from_pem(&key).is_ok_and(|pair| trust::fits(&certificate, &pair));
        let none = Self(Vec::new());
        if ours {
            none.with([&certificate, &key])
        } else {
            none
        }
    }

    fn with(mut self, files: [&str; 2]) -> Self {
        self.0.extend(files.map(hash_hex));
        let surplus = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..surplus);
        self
    }

    fn write(&self, data: &DataDir) -> anyhow::Result<()> {
        write_file(&data.join(Self::FILE), 0o600, self.0.join("\n").as_bytes())
    }

    /// Whether a file is not there or as it was made.
    fn is_ours(&self, path: &Path) -> bool {
        match fs::read_to_string(path) {
            Ok(text) => self.0.contains(&hash_hex(&text)),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

/// What callers may call this machine by: `localhost`, its own name, and the `addresses` it listens
/// at, as far as they are certain ones.
fn names_of_this_machine(addresses: &[IpAddr]) -> Vec<String> {
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    for address in addresses.iter().filter(|ip| !ip.is_unspecified()) {
        let address = address.to_string();
        if !names.contains(&address) {
            names.push(address);
        }
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    let usable = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !host.is_empty() && host.chars().all(usable) && !names.contains(&host) {
        names.push(host);
    }
    names
}

#[cfg(test)]
mod tests {
    use x509_parser::extensions::{GeneralName, ParsedExtension};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn contents(data: &DataDir) -> [String; 2] {
        ["tls/server.pem", "tls/server-key.pem"]
            .map(|name| fs::read_to_string(data.join(name)).unwrap_or_default())
    }

    fn own_pair(data: &DataDir) -> [String; 2] {
        let made = rcgen::generate_simple_self_signed(["own".to_owned()]).unwrap();
        let pair = [made.cert.pem(), made.signing_key.serialize_pem()];
        fs::write(data.join("tls/server.pem"), &pair[0]).unwrap();
        fs::write(data.join("tls/server-key.pem"), &pair[1]).unwrap();
        pair
    }

    #[test]
    fn what_was_made_follows_the_names_and_what_an_operator_put_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let ca = authority(&data).unwrap();
        server_certificate(&data, &ca, &names(&["first"])).unwrap();
        let first = contents(&data);
        server_certificate(&data, &ca, &names(&["first"])).unwrap();
        assert_eq!(contents(&data), first);
        server_certificate(&data, &ca, &names(&["second"])).unwrap();
        assert_ne!(contents(&data), first);
        let own = own_pair(&data);
        server_certificate(&data, &ca, &names(&["third"])).unwrap();
        assert_eq!(contents(&data), own);
    }

    #[test]
    fn a_certificate_placed_before_the_first_start_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let own = own_pair(&data);
        server_tls(&data, &[], &[]).unwrap();
        assert_eq!(contents(&data), own);
    }

    #[test]
    fn an_authority_without_its_key_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        let (pem, made) = (
            fs::read_to_string(data.join("ca.pem")).unwrap(),
            contents(&data),
        );
        fs::remove_file(data.join("tls/ca-key.pem")).unwrap();
        server_tls(&data, &["192.0.2.7".parse().unwrap()], &[]).unwrap();
        assert_eq!(fs::read_to_string(data.join("ca.pem")).unwrap(), pem);
        assert_eq!(contents(&data), made);
        fs::remove_file(data.join("tls/server.pem")).unwrap();
        let refused = server_tls(&data, &[], &[]).unwrap_err().to_string();
        assert!(refused.contains("tls/ca-key.pem is gone"), "{refused}");
    }

    /// The names that the certificate in the file is good for, as any caller reads them.
    fn names_of(data: &DataDir) -> Vec<String> {
        let pem = fs::read(data.join("tls/server.pem")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let names = names.value.general_names.iter().map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(four) => IpAddr::from(four).to_string(),
                Err(_) => IpAddr::from(<[u8; 16]>::try_from(*bytes).unwrap()).to_string(),
            },
            other => panic!("{other:?}"),
        });
        names.collect()
    }

    #[test]
    fn the_certificate_is_for_this_machine_by_every_name_and_where_it_listens() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().to_ascii_lowercase();
        let addresses = ["192.0.2.7", "2001:db8::7", "::", "0.0.0.0", "127.0.0.1"];
        let addresses = addresses.map(|address| address.parse().unwrap());
        server_tls(&data, &addresses, &[]).unwrap();
        let mut found = names_of(&data);
        let certain = ["localhost", "127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"];
        let mut wanted = names(&certain);
        wanted.push(host);
        wanted.sort_unstable();
        wanted.dedup();
        found.sort_unstable();
        assert_eq!(found, wanted);
    }

    fn is_trusted(data: &DataDir) -> bool {
        let pem = |name: &str| fs::read_to_string(data.join(name)).unwrap();
        trust::is_under(&pem("ca.pem"), &pem("tls/server.pem"))
    }

    #[test]
    fn the_certificate_is_for_the_names_that_are_set_and_anew_when_others_are() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let set = |set: &[&str]| {
            server_tls(&data, &[], &names(set)).unwrap();
            (names_of(&data), contents(&data))
        };
        let (own, first) = set(&[]);
        let asked = [
            "apis.example.com",
            "*.example.com",
            "10.0.0.10",
            "2001:db8::7",
        ];
        let (more, second) = set(&[&asked[..], &["localhost"]].concat());
        assert_eq!(more, [own.clone(), names(&asked)].concat());
        assert_ne!(second, first);
        assert_eq!(set(&asked).1, second, "the same names");
        assert_eq!(set(&[]).0, own, "what is taken away is gone");
    }

    #[test]
    fn a_new_authority_signs_a_new_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        assert!(is_trusted(&data));
        let first = contents(&data);
        for gone in ["ca.pem", "tls/ca-key.pem"] {
            fs::remove_file(data.join(gone)).unwrap();
        }
        server_tls(&data, &[], &[]).unwrap();
        assert!(is_trusted(&data));
        assert_ne!(contents(&data), first);
    }

    /// Whoever trusts several nodes' authorities, which have one name, looks for the one that signed by its key.
    #[test]
    fn the_certificate_names_the_key_that_signed_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        let pem = fs::read(data.join("tls/server.pem")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let named = certificate.extensions().iter().any(|extension| {
            let parsed = extension.parsed_extension();
            matches!(parsed, ParsedExtension::AuthorityKeyIdentifier(id) if id.key_identifier.is_some())
        });
        assert!(named);
    }

    #[test]
    fn nothing_is_signed_in_the_name_of_an_authority_whose_key_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        let made = contents(&data);
        let pair = KeyPair::generate().unwrap();
        let theirs = CertificateParams::default().self_signed(&pair).unwrap();
        fs::write(data.join("ca.pem"), theirs.pem()).unwrap();
        server_tls(&data, &["192.0.2.7".parse().unwrap()], &[]).unwrap();
        assert_eq!(contents(&data), made);
        fs::remove_file(data.join("tls/server.pem")).unwrap();
        let refused = server_tls(&data, &[], &[]).unwrap_err().to_string();
        assert!(refused.contains("not of ca.pem"), "{refused}");
    }

    #[test]
    fn a_pair_of_which_one_was_lost_in_a_crash_or_restored_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        let first = contents(&data);
        fs::remove_file(data.join("tls/server-key.pem")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        let second = contents(&data);
        assert!(first[0] != second[0] && first[1] != second[1]);
        // As if the power had failed before the second file was written, or before the first.
        for (name, text) in [
            ("tls/server.pem", &first[0]),
            ("tls/server-key.pem", &first[1]),
        ] {
            let whole = contents(&data);
            fs::write(data.join(name), text).unwrap();
            server_tls(&data, &[], &[]).unwrap();
            assert!(is_trusted(&data));
            let made = contents(&data);
            assert!(made[0] != whole[0] && made[1] != whole[1], "{name}");
        }
    }

    #[test]
    fn what_was_made_before_it_was_noted_still_follows_the_names() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        server_tls(&data, &[], &[]).unwrap();
        let made = contents(&data);
        fs::remove_file(data.join("tls/server-made")).unwrap();
        server_tls(&data, &["192.0.2.7".parse().unwrap()], &[]).unwrap();
        assert_ne!(contents(&data), made);
        assert!(is_trusted(&data));
    }
}
