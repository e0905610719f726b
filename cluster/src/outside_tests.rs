//! What comes from who is no member yet, and what operators hand over, nearly as it should be: none of it ends a reader by a
//! panic, and what is read is no larger than what came (ADR 0032).

use std::collections::BTreeMap;

use crate::authority::Authority;
use crate::bulk::{BULK, BulkHello};
use crate::codec::{HEAD, encode};
use crate::credentials::{Credentials, NewKey};
use crate::hello::{FirstWords, Hello, HelloError};
use crate::join::{JoinAsk, JoinToken, heard};
use crate::member::{Fact, Member};
use crate::mutants::each_mutant;
use crate::renewal::RenewCertificate;

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

#[test]
fn requests_to_sign_and_certificates_that_are_nearly_some_are_signed_in_the_signers_words_or_refused()
 {
    let authority = Authority::make("one").unwrap();
    let (key, request) = key();
    let mut signed = 0;
    each_mutant(&[&request], 1_500, |request| {
        if let Ok(certificate) = authority.sign(request, ("n1", false), 1) {
            let asked = RenewCertificate {
                certificate: certificate.to_vec(),
                request: request.to_vec(),
            };
            assert_eq!(asked.node().as_deref(), Some("n1"));
            signed += 1;
        }
    });
    assert!(signed > 0, "the sound one at least");
    let certificate = authority.sign(&request, ("n1", true), 1).unwrap();
    each_mutant(&[&certificate], 1_500, |certificate| {
        let asked = RenewCertificate {
            certificate: certificate.to_vec(),
            request: request.clone(),
        };
        let _ = asked.node();
        let _ = authority.renew(&asked, |_| Some(false), 1);
        let _ = Authority::from_der(certificate, authority.key());
    });
    let credentials = key.with(&certificate, authority.certificate()).unwrap();
    let files = [credentials.to_pem(), authority.to_pem()];
    let token = JoinToken::generate("127.0.0.1:4370", authority.fingerprint()).unwrap();
    let token = token.to_text();
    let samples = [files[0].as_bytes(), files[1].as_bytes(), token.as_bytes()];
    each_mutant(&samples, 1_500, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Credentials::from_pem(&text);
        let _ = Authority::from_pem(&text);
        if let Ok(read) = text.parse::<JoinToken>() {
            // It has a sum: what is not as it was printed is none.
            assert_eq!(read.to_text(), token);
        }
    });
}
