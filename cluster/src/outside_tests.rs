//! What comes from who is no member yet, and what operators hand over, nearly as it should be: none of it ends a reader by a
//! panic, and what is read is no larger than what came (ADR 0032).

use std::collections::BTreeMap;

use rcgen::PublicKeyData as _;
use rustls::pki_types::CertificateDer;

use crate::authority::{ADMITS, Authority, EVERY_NODE};
use crate::bulk::{BULK, BulkHello};
use crate::certificate::{Named, bears, is_about};
use crate::codec::{HEAD, encode};
use crate::credentials::{Credentials, NewKey};
use crate::hello::{FirstWords, Hello, HelloError};
use crate::join::{JoinAsk, JoinToken, heard};
use crate::member::{Fact, Member};
use crate::mutants::each_mutant;
use crate::renewal::RenewCertificate;
use crate::tally::Tally;

const ASK: u16 = 65_002;

fn member() -> Member {
    let fact = Fact {
        key: "k".to_owned(),
        value: "v".repeat(300),
        alone: true,
    };
    Member {
        id: "i".to_owned(),
        incarnation: 70_000,
        life: u64::MAX,
        name: "n".to_owned(),
        address: "[::1]:4370".to_owned(),
        roles: vec!["gateway".to_owned(), "r".to_owned()],
        facts: vec![fact.clone(), fact],
    }
}

fn key() -> (NewKey, Vec<u8>) {
    let key = NewKey::generate().unwrap();
    let request = key.request().unwrap();
    (key, request)
}

/// The sound words, and what nearly is such words under an envelope that fits.
fn each_message(words: &[u8], mut read: impl FnMut(&[u8])) {
    each_mutant(&[words], 1_000, &mut read);
    each_mutant(&[&words[HEAD..]], 3_000, |body| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        read(&[&words[..4], &length, body].concat());
    });
}

#[test]
fn first_words_that_are_nearly_a_nodes_are_heard_or_refused_with_the_kind_of_reason() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let hello = runtime.block_on(async {
        let hello = Hello {
            versions: (2, 3),
            cluster: "c".to_owned(),
            member: member(),
            key: 300,
            known: vec![member(), member()],
        };
        let mut bytes = Vec::new();
        hello.write(&mut bytes).await.unwrap();
        bytes
    });
    let bulk = BulkHello {
        member: member(),
        bears: 300,
    };
    let bulk = encode(BULK, 1, &bulk).unwrap();
    let ask = JoinAsk {
        token: "t".repeat(16),
        secret: [7; 32],
        cluster: String::new(),
        id: "i".to_owned(),
        name: "n".to_owned(),
        roles: vec!["gateway".to_owned()],
        request: key().1,
    };
    let ask = encode(ASK, 1, &ask).unwrap();
    let mut refused = BTreeMap::<&str, usize>::new();
    let mut count = |came: usize, answer: Result<usize, HelloError>| match answer {
        Ok(read) => {
            assert!(read <= came, "{read} bytes of {came}");
            *refused.entry("heard").or_default() += 1;
        }
        Err(error) => *refused.entry(error.kind()).or_default() += 1,
    };
    for words in [&hello, &bulk] {
        each_message(words, |mut bytes| {
            let came = bytes.len();
            let read = runtime.block_on(FirstWords::read(&mut bytes));
            count(
                came,
                read.map(|words| match words {
                    FirstWords::Hello(hello) => encode(0, 1, &hello).unwrap().len(),
                    FirstWords::Bulk(bulk) => encode(0, 1, &bulk).unwrap().len(),
                }),
            );
        });
    }
    each_message(&ask, |mut bytes| {
        let came = bytes.len();
        let read = runtime.block_on(heard(&mut bytes));
        count(came, read.map(|ask| encode(0, 1, &ask).unwrap().len()));
    });
    // All that may become of them did.
    let kinds: Vec<_> = refused.keys().copied().collect();
    assert!(kinds.contains(&"heard") && kinds.len() >= 4, "{refused:?}");
}

/// A request of this key in which other words stand than the signer's; none where they cannot stand in one.
fn request_that_says(key: &rcgen::KeyPair, words: &[u8]) -> Option<Vec<u8>> {
    let words = String::from_utf8_lossy(words);
    let mut params = rcgen::CertificateParams::new([words.to_string()]).ok()?;
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    (params.distinguished_name).push(rcgen::DnType::CommonName, &*words);
    let uri = Named::uri("one", &words).as_str().try_into().ok()?;
    (params.subject_alt_names).push(rcgen::SanType::URI(uri));
    Some(params.serialize_request(key).ok()?.der().to_vec())
}

/// It names the node that was asked for, in these words of the signer's and no others.
#[track_caller]
fn is_in_the_signers_words(certificate: &CertificateDer<'_>, is_about_key: &[u8]) {
    let named = Named::of(certificate).expect("a name");
    assert_eq!((&*named.cluster, &*named.node), ("one", "n1"));
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names.len(),
        2,
        "every node's, and its own"
    );
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(bears(certificate, EVERY_NODE) && !usage.key_cert_sign() && !parsed.is_ca());
    assert_eq!(parsed.subject().to_string(), "CN=Headgate node n1");
    assert!(is_about(certificate, is_about_key));
}

#[test]
fn requests_to_sign_that_are_nearly_some_are_signed_in_the_signers_words_or_refused() {
    let authority = Authority::make("one").unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let public = key.subject_public_key_info();
    let sound = request_that_says(&key, b"n2").unwrap();
    authority.sign(&sound, ("n1", false), 1).unwrap();
    let mut refused = 0;
    each_mutant(&[&sound], 1_500, |request| {
        match authority.sign(request, ("n1", false), 1) {
            Ok(certificate) => is_in_the_signers_words(&certificate, &public),
            Err(_) => refused += 1,
        }
    });
    assert!(refused > 1_000, "{refused} refused");
    // Its own signature makes a changed request none, so there it is changed before.
    let mut said = 0;
    let words = ["n2", ADMITS, EVERY_NODE, "urn:headgate:one:n2"];
    each_mutant(&words.map(str::as_bytes), 500, |words| {
        let Some(request) = request_that_says(&key, words) else {
            return;
        };
        let signed = authority.sign(&request, ("n1", false), 1).unwrap();
        is_in_the_signers_words(&signed, &public);
        said += 1;
    });
    assert!(said > 300, "{said} signed");
}

#[test]
fn certificates_that_are_nearly_some_give_nobody_another_name_or_the_authority() {
    let authority = Authority::make("one").unwrap();
    let (_, request) = key();
    let certificate = authority.sign(&request, ("n1", true), 1).unwrap();
    let mut tally = Tally::default();
    each_mutant(&[&certificate], 1_500, |certificate| {
        let asked = RenewCertificate {
            certificate: certificate.to_vec(),
            request: request.clone(),
        };
        tally.count("whose it is", asked.node().is_some());
        let renewed = authority.renew(&asked, |_| Some(false), 1);
        tally.count("one to renew", renewed.is_ok());
        if let Ok(renewed) = renewed {
            let named = Named::of(&renewed).map(|named| named.node);
            assert_eq!(named.as_deref(), Some("n1"));
            assert!(!bears(&renewed, ADMITS));
        }
        let authority = Authority::from_der(certificate, authority.key());
        assert!(authority.is_err(), "it is a node's");
    });
    each_mutant(&[authority.certificate()], 1_500, |certificate| {
        let read = Authority::from_der(certificate, authority.key());
        tally.count("an authority", read.is_ok());
        if let Ok(read) = read {
            let again = Authority::from_pem(&read.to_pem()).unwrap();
            assert_eq!(again.fingerprint(), read.fingerprint());
            assert_eq!(again.cluster(), read.cluster());
        }
    });
    // What is signed, or has a sum, is read where the changes have left it as it was.
    tally.is_of_both(10);
}

#[test]
fn files_and_tokens_of_operators_that_are_nearly_some_are_those_of_the_node_and_cluster_or_refused()
{
    let authority = Authority::make("one").unwrap();
    let (key, request) = key();
    let certificate = authority.sign(&request, ("n1", true), 1).unwrap();
    let credentials = key.with(&certificate, authority.certificate()).unwrap();
    let files = [credentials.to_pem(), authority.to_pem()];
    let token = JoinToken::generate("127.0.0.1:4370", authority.fingerprint()).unwrap();
    let token = token.to_text();
    let mut tally = Tally::default();
    each_mutant(&[files[0].as_bytes()], 1_500, |bytes| {
        let read = Credentials::from_pem(&String::from_utf8_lossy(bytes));
        tally.count("credentials", read.is_ok());
        if let Ok(read) = read {
            assert_eq!((read.node(), read.cluster()), ("n1", "one"));
            let again = Credentials::from_pem(&read.to_pem()).unwrap();
            assert_eq!(again.to_pem(), read.to_pem());
        }
    });
    each_mutant(&[files[1].as_bytes()], 1_500, |bytes| {
        let read = Authority::from_pem(&String::from_utf8_lossy(bytes));
        tally.count("an authority", read.is_ok());
        if let Ok(read) = read {
            assert_eq!(read.key(), authority.key());
            let again = Authority::from_pem(&read.to_pem()).unwrap();
            assert_eq!(again.fingerprint(), read.fingerprint());
        }
    });
    each_mutant(&[token.as_bytes()], 1_500, |bytes| {
        let read = String::from_utf8_lossy(bytes).parse::<JoinToken>();
        tally.count("a token", read.is_ok());
        if let Ok(read) = read {
            // It has a sum: what is not as it was printed is none.
            assert_eq!(read.to_text(), token);
            assert_eq!(token.as_bytes(), bytes);
        }
    });
    // What is signed, or has a sum, is read where the changes have left it as it was.
    tally.is_of_both(10);
}
