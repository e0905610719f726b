//! Texts that callers, publishers and administrators write, each nearly as it should be: none ends a reader by a panic, what is
//! read is within its bounds and reads back, and what is not is refused with where it stands (ADR 0032).

use std::collections::HashMap;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};

use crate::address::{AddressRange, caller};
use crate::api::{AuthType, Operation};
use crate::endpoint;
use crate::mutants::each_mutant;
use crate::openapi::{DescribedOperation, Limits, read, validate, with_addresses, with_operations};
use crate::path::canonical;
use crate::tally::Tally;
use crate::template::Template;
use crate::token::{Claims, TOKEN_LIMIT, parse};

const OPENAPI: &str = r##"{"openapi":"3.0.3","info":{"title":"Pizza","version":"1"},"servers":[{"url":"https://a.example/{b}"}],
"security":[{"default":["eat"]}],"tags":[{"name":"menu"}],"paths":{"/menu/{id}":{"summary":"S","parameters":[{"$ref":
"#/components/parameters/id"}],"get":{"operationId":"m","security":[],"responses":{"200":{"description":"\u006f\n"}}},
"post":{"security":[{"default":["eat"]}],"responses":{}}},"/shared":{"$ref":"#/x-items/s"}},"x-items":{"s":{"put":{"responses":{}}}},
"components":{"parameters":{"id":{"name":"id","in":"path","required":true,"schema":{"type":"string"}}},"securitySchemes":
{"default":{"type":"oauth2","flows":{"implicit":{"authorizationUrl":"https://a.example","scopes":{"eat":"Eats"},"x-scopes-bindings":
{"eat":"cook,guest"}}}}}},"x-n":[1.5e3,-0,12345678901234567890,true,null]}"##;

const SWAGGER: &str = r##"{"swagger":"2.0","info":{"title":"T","version":"1"},"host":"a.example","basePath":"/b","schemes":["https"],
"securityDefinitions":{"o":{"type":"oauth2","flow":"implicit","authorizationUrl":"https://a.example","scopes":{"eat":"Eats"}}},
"paths":{"/a":{"get":{"security":[{"o":["eat"]}],"responses":{"200":{"description":"fine"}}}},"/b/{c}":{"put":{"responses":{}}}}}"##;

const YAML: &str = "# kept\nopenapi: 3.1.0\ninfo: &i {title: T, version: '1'}\nx-again: *i\npaths:\n  /a:\n    get: &get\n      summary: >-\n        \
     two\n        lines\n      description: |2\n          kept\n      responses: {200: {description: \"\\u006f \\x41\"}}\n    ? put\n    : <<: *get\n      \
     deprecated: !!bool true\n  '/b/{c}':\n    $ref: '#/paths/~1a'\n...\n";

fn operations(described: &[DescribedOperation]) -> Vec<Operation> {
    let operation = |one: &DescribedOperation| Operation {
        id: String::new(),
        target: one.target.clone(),
        verb: one.verb.as_str().to_owned(),
        auth_type: AuthType::Any,
        throttling_policy: "Unlimited".to_owned(),
        scopes: one.scopes.clone(),
    };
    // All but the first, so that something has to be written.
    described.iter().skip(1).map(operation).collect()
}

#[test]
fn a_description_that_is_nearly_one_is_read_or_refused_with_a_place_and_what_is_written_of_it_reads_back()
 {
    let limits = Limits::default();
    let samples = [OPENAPI, SWAGGER, YAML].map(str::as_bytes);
    for sound in samples {
        read(sound, &limits).expect("a sound sample");
    }
    let (mut good, mut bad) = (0, 0);
    each_mutant(&samples, 6_000, |bytes| {
        let report = validate(bytes, &limits);
        let Ok(definition) = read(bytes, &limits) else {
            let fault = report.errors.first().expect("a fault");
            let in_short = (1..1_000).contains(&fault.message.len());
            assert!(!report.valid && in_short, "{fault}");
            bad += 1;
            return;
        };
        assert!(report.valid);
        good += 1;
        let urls = ["https://g.example/a/1".to_owned()];
        let addressed = with_addresses(bytes, &limits, &urls).expect("it was read");
        read(addressed.as_bytes(), &limits).expect("with addresses");
        let wanted = operations(&definition.operations);
        if let Ok(Some(text)) = with_operations(bytes, &limits, &wanted, &[]) {
            let again = read(text.as_bytes(), &limits).expect("with operations");
            assert_eq!(again.operations.len(), wanted.len(), "{text}");
        }
    });
    assert!(good > 200 && bad > 200, "{good} good, {bad} bad");
}

/// Takes any spelling of what is encoded: either alphabet, padding or none, and whatever is in the bits that are left over.
fn decoded(text: &str) -> Option<Vec<Vec<u8>>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&URL_SAFE, lenient);
    let text = text.replace('+', "-").replace('/', "_");
    let parts = text.split('.').map(|part| engine.decode(part));
    parts.collect::<Result<_, _>>().ok()
}

#[test]
fn a_token_that_is_nearly_one_is_taken_apart_or_refused_and_has_one_spelling() {
    const HEADER: &str = r#"{"alg":"RS256","kid":"1","typ":"application/at+jwt"}"#;
    const CLAIMS: &str = r#"{"iss":"i","sub":"s","aud":["a","b"],"azp":"k","scope":"x y","jti":"j","sid":"c","iat":1,"nbf":1,"exp":2}"#;
    /// Its last bits are left over.
    const SIGNATURE: &str = "c3A";
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut spellings = HashMap::new();
    let mut judge = |text: &str| {
        let Ok(parsed) = parse(text) else {
            return false;
        };
        assert!(text.len() <= TOKEN_LIMIT);
        let parts = decoded(text).expect("encoded parts");
        let one = spellings.entry(parts).or_insert_with(|| text.to_owned());
        assert_eq!(one, text, "the same token");
        let Ok(claims) = Claims::read(&parsed.claims) else {
            return false;
        };
        let written = claims.write();
        let again = Claims::read(written.as_object().expect("an object")).expect("claims");
        assert_eq!(
            (again.jti, again.aud, again.exp),
            (claims.jti, claims.aud, claims.exp)
        );
        true
    };
    let signed = format!("{}.{}", part(HEADER.as_bytes()), part(CLAIMS.as_bytes()));
    let mut tally = Tally::default();
    each_mutant(&[HEADER.as_bytes(), CLAIMS.as_bytes()], 4_000, |bytes| {
        let as_header = format!("{}.{}.{SIGNATURE}", part(bytes), part(CLAIMS.as_bytes()));
        let as_claims = format!("{}.{}.{SIGNATURE}", part(HEADER.as_bytes()), part(bytes));
        tally.count("a header", judge(&as_header));
        tally.count("claims", judge(&as_claims));
    });
    let whole = format!("{signed}.{SIGNATURE}");
    each_mutant(&[whole.as_bytes()], 4_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        tally.count("a whole token", judge(&text));
    });
    each_mutant(&[SIGNATURE.as_bytes()], 4_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        tally.count("a signature", judge(&format!("{signed}.{text}")));
    });
    tally.is_of_both(50);
}

#[test]
fn addresses_paths_templates_and_endpoints_that_are_nearly_some_are_read_or_refused() {
    let samples = [
        "/a/{b}/*",
        "/items/%E2%82%AC/a+b",
        "10.0.0.0/8",
        "[fd00::1]:80, ::ffff:10.0.0.1",
        "http://u@h.example:8080/p?q#f",
        "https://h.example:8080/p?q",
    ];
    let local = [127, 0, 0, 1].into();
    let proxies = [AddressRange::parse("127.0.0.0/8").expect("a network")];
    let mut tally = Tally::default();
    each_mutant(&samples.map(str::as_bytes), 8_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let path = canonical(&text);
        if let Ok(path) = &path {
            assert_eq!(canonical(path).expect("a canonical path"), *path);
        }
        tally.count("a path", path.is_ok());
        let template = Template::parse(&text);
        if let Ok(template) = &template {
            let again = Template::parse(template.as_str()).expect("a template");
            assert_eq!(again, *template);
            let captured = template.captures("/a/7/c").unwrap_or_default();
            assert!(captured.iter().all(|(_, value)| "/a/7/c".contains(value)));
        }
        tally.count("a template", template.is_ok());
        let range = AddressRange::parse(&text);
        if let Some(range) = range {
            let named = text.trim().split('/').next().unwrap_or_default();
            assert!(range.contains(named.parse().expect("an address")));
        }
        tally.count("a network", range.is_some());
        let found = caller(local, [&*text].into_iter(), &proxies);
        assert!(found == local || !proxies[0].contains(found), "{found}");
        tally.count("a caller", found != local);
        let is_sound = endpoint::check(&text, false).is_ok();
        assert!(!is_sound || text.contains("://"), "{text}");
        tally.count("an endpoint", is_sound);
    });
    tally.is_of_both(50);
}
