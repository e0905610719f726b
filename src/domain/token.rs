//! Signed tokens (RFC 7515, RFC 9068) as text: a strict reader that looks at form before
//! anything else does, and the claims that Headgate writes and reads.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The longest token that is looked at, in bytes.
pub const TOKEN_LIMIT: usize = 8 * 1024;

/// A signed token taken apart; nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<'a> {
    /// `alg`.
    pub algorithm: String,
    /// `kid`.
    pub key_id: String,
    /// `typ`, lower case, without `application/`.
    pub kind: String,
    /// What is signed.
    pub signed: &'a str,
    /// The signature as base64url text.
    pub signature: &'a str,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Why a text is no token. One kind: the caller learns nothing from the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed signed token")]
pub struct Malformed;

/// The claims of an access token (RFC 9068 and WSO2's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// User, or the application's owner.
    pub sub: String,
    /// `APPLICATION` or `APPLICATION_USER`.
    pub aut: String,
    /// Audiences.
    pub aud: Vec<String>,
    /// Consumer key.
    pub azp: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Unique id.
    pub jti: String,
    /// The chain of refreshed tokens, empty when there is none.
    pub sid: String,
    /// Issued, seconds.
    pub iat: i64,
    /// Not before, seconds.
    pub nbf: Option<i64>,
    /// Expires, seconds.
    pub exp: i64,
}

/// Takes a compact token apart. Refuses what is too long, not three parts, not canonical
/// base64url, not a JSON object, names a member twice, or asks for extensions (`crit`, `b64`).
///
/// # Errors
/// [`Malformed`].
pub fn parse(text: &str) -> Result<Parsed<'_>, Malformed> {
    if text.len() > TOKEN_LIMIT {
        return Err(Malformed);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Malformed)?;
    let canonical = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed);
    // The whole token has one spelling: a re-encoding of it is not the same token (threat 7).
    if canonical(signature)?.is_empty() {
        return Err(Malformed);
    }
    let header = object(&canonical(header)?)?;
    let claims = object(&canonical(claims)?)?;
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Malformed);
    }
    let member = |name: &str| match header.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(Malformed),
    };
    let kind = member("typ")?.to_ascii_lowercase();
    Ok(Parsed {
        algorithm: member("alg")?,
        key_id: member("kid")?,
        kind: kind
            .strip_prefix("application/")
            .unwrap_or(&kind)
            .to_owned(),
        signed,
        signature,
        claims,
    })
}

// === impl Claims ===

impl Claims {
    /// Reads the claims of an access token; the mandatory ones must be there and of their type.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(claims: &Map<String, Value>) -> Result<Self, Malformed> {
        let text = |name: &str| match claims.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(Malformed),
        };
        let optional = |name: &str| match claims.get(name) {
            None => Ok(String::new()),
            Some(_) => text(name),
        };
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64).ok_or(Malformed);
        let aud = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => {
                let texts = list.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or(Malformed)?
            }
            Some(_) => return Err(Malformed),
        };
        Ok(Self {
            iss: text("iss")?,
            sub: text("sub")?,
            aut: optional("aut")?,
            aud,
            azp: text("azp").or_else(|_| text("client_id"))?,
            scope: optional("scope")?,
            jti: text("jti")?,
            sid: optional("sid")?,
            iat: seconds("iat")?,
            nbf: claims.get("nbf").map(|_| seconds("nbf")).transpose()?,
            exp: seconds("exp")?,
        })
    }

    /// The claims as they are signed.
    #[must_use]
    pub fn write(&self) -> Value {
        let mut claims = serde_json::json!({
            "iss": self.iss, "sub": self.sub, "aut": self.aut, "aud": self.aud,
            "azp": self.azp, "client_id": self.azp, "scope": self.scope, "jti": self.jti,
            "iat": self.iat, "nbf": self.nbf.unwrap_or(self.iat), "exp": self.exp,
        });
        if let (Some(members), false) = (claims.as_object_mut(), self.sid.is_empty()) {
            members.insert("sid".to_owned(), Value::String(self.sid.clone()));
        }
        claims
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Malformed> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        _ => Err(Malformed),
    }
}

/// JSON in which no object names a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    const HEADER: &str = r#"{"alg":"RS256","kid":"1","typ":"at+jwt"}"#;
    const CLAIMS: &str = r#"{"iss":"i","sub":"s","azp":"k","jti":"j","iat":1,"exp":2}"#;

    #[test]
    fn what_is_written_reads_back() {
        let good = token(HEADER, CLAIMS);
        let parsed = parse(&good).unwrap();
        let claims = Claims::read(&parsed.claims).unwrap();
        assert_eq!((claims.azp.as_str(), claims.exp), ("k", 2));
        let written = claims.write();
        let again = Claims::read(written.as_object().unwrap()).unwrap();
        assert_eq!(again.jti, claims.jti);
    }

    #[test]
    fn other_spellings_repeated_members_and_extensions_are_refused() {
        let good = token(HEADER, CLAIMS);
        let twice = CLAIMS.replace("\"iat\":1", "\"iat\":1,\"exp\":9");
        let nested = CLAIMS.replace("\"iat\":1", "\"iat\":1,\"x\":{\"a\":1,\"a\":2}");
        for bad in [
            format!("{good}="),
            good.replace("c2ln", "c2lo"),
            format!("{good}.x"),
            good.replace('.', ""),
            token(HEADER, &twice),
            token(HEADER, &nested),
            token(&HEADER.replace("\"kid\"", "\"crit\":[],\"kid\""), CLAIMS),
            token("[]", CLAIMS),
            format!("{}.", good.rsplit_once('.').unwrap().0),
            "a".repeat(TOKEN_LIMIT + 1),
            token(&HEADER.replace("\"1\"", &"\"k\"".repeat(9_000)), CLAIMS),
        ] {
            // "c2lo" decodes to another signature: well-formed, and left to the signature check.
            let outcome = parse(&bad);
            assert!(outcome.is_err() || bad.ends_with("c2lo"), "{bad}");
        }
        // The last character carries unused bits: only their zero form is canonical.
        assert!(parse(&good.replace("c2ln", "c2lnYR")).is_err());
        for missing in ["iss", "sub", "azp", "jti", "iat", "exp"] {
            let mut claims: Map<String, Value> = serde_json::from_str(CLAIMS).unwrap();
            claims.remove(missing);
            assert!(Claims::read(&claims).is_err(), "{missing}");
        }
    }
}
