//! One signature by ECDSA has two spellings, `(r, s)` and `(r, n - s)`: a gateway takes both for the token that they
//! are, and ends both with it. Its last digit has four bits that say nothing: they lead around no revocation.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cluster::Trio;

const ES256: (&str, &str) = ("HEADGATE__OAUTH2__SIGNING_ALGORITHM", "ES256");

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The other spelling.
fn mirrored(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let mut borrow = 0;
    for index in (0..32).rev() {
        let digit = i32::from(ORDER[index]) - i32::from(bytes[32 + index]) - borrow;
        borrow = i32::from(digit < 0);
        bytes[32 + index] = u8::try_from(digit.rem_euclid(256)).expect("a byte");
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Those of base64url, by value.
const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The fifteen spellings that differ in the bits of the last digit that say nothing.
fn low_bits(token: &str) -> Vec<String> {
    let (rest, last) = token.split_at(token.len() - 1);
    let at = DIGITS.find(last).expect("a digit");
    let others = (0..16)
        .map(|low| at / 16 * 16 + low)
        .filter(|other| *other != at);
    others
        .map(|other| format!("{rest}{}", &DIGITS[other..=other]))
        .collect()
}

#[tokio::test]
async fn a_token_that_is_revoked_in_one_spelling_is_refused_in_both_by_a_gateway_that_took_both() {
    let trio = Trio::start_both_with(&[ES256], &[]).await;
    let (key, secret, first) = trio.subscriber("Many", 1_000).await;
    let second = trio.control.client_token(&key, &secret).await;
    // Whichever of the two is the one that is revoked.
    for (token, is_revoked_as_issued) in [(first, true), (second, false)] {
        let both = [token.clone(), mirrored(&token)];
        assert_ne!(both[0], both[1]);
        for spelling in both.iter().chain(&both) {
            assert_eq!(trio.call(spelling).await, 200, "known by now");
        }
        let others = low_bits(&token);
        for spelling in &others {
            // The same token or none.
            let status = trio.call(spelling).await;
            assert!([200, 401].contains(&status), "{status}");
        }
        let revoked = &both[usize::from(!is_revoked_as_issued)];
        let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
        let revoke = revoke.form(&[("token", revoked)]).send().await.expect(200);
        assert_eq!(revoke.header("headgate-applied"), "2/2");
        for spelling in both.iter().chain(&others) {
            assert_eq!(trio.call(spelling).await, 401);
        }
    }
}
