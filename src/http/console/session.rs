//! Who has signed in on this node: pure, time is a parameter.
//!
//! A session is known by the hash of its cookie, lives no longer than its token, and ends with the node.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::key_manager::command::ClientSecret;
use actors::key_manager::hash_hex;

/// How long somebody stays signed in.
pub(super) const LIFE: Duration = Duration::from_secs(3_600);
/// The most sessions at once: beyond it whichever ends first gives way.
const MOST: usize = 1_000;

/// One person's session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// The access token that their password was given for.
    pub(super) token: String,
    /// The client that it was issued to, which alone may revoke it.
    pub(super) client: ClientSecret,
    /// User name without tenant.
    pub(super) user: String,
    /// Tenant domain.
    pub(super) tenant: String,
    /// When it ends, on the boot clock.
    pub(super) until: Duration,
}

/// All sessions, by the hashes of their cookies.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<String, Session>);

// === impl Sessions ===

impl Sessions {
    /// Begins a session that a cookie of this value stands for.
    pub(super) fn begin(&mut self, cookie: &str, session: Session, now: Duration) {
        self.0.retain(|_, known| known.until > now);
        if self.0.len() >= MOST {
            let first = self.0.iter().min_by_key(|(_, known)| known.until);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
        self.0.insert(hash_hex(cookie), session);
    }

    /// The session that a cookie stands for, while it lasts.
    pub(super) fn find(&self, cookie: &str, now: Duration) -> Option<Session> {
        let known = self.0.get(&hash_hex(cookie))?;
        (known.until > now).then(|| known.clone())
    }

    /// The client that somebody's token was issued to last.
    pub(super) fn client_of(
        &self,
        tenant: &str,
        user: &str,
        now: Duration,
    ) -> Option<ClientSecret> {
        let own = self.0.values().filter(|known| known.until > now);
        let own = own.filter(|known| known.tenant == tenant && known.user == user);
        let newest = own.max_by_key(|known| known.until);
        newest.map(|known| known.client.clone())
    }

    /// Somebody's client has a new secret: of those before, only the last one goes on, and for a day.
    pub(super) fn renew(&mut self, tenant: &str, user: &str, client: &ClientSecret) {
        let known = self.0.values_mut();
        for known in known.filter(|known| known.tenant == tenant && known.user == user) {
            known.client = client.clone();
        }
    }

    /// Ends it.
    pub(super) fn end(&mut self, cookie: &str) -> Option<Session> {
        self.0.remove(&hash_hex(cookie))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(user: &str, until: u64) -> Session {
        Session {
            token: "t".to_owned(),
            client: client("old"),
            user: user.to_owned(),
            tenant: "carbon.super".to_owned(),
            until: Duration::from_secs(until),
        }
    }

    fn client(secret: &str) -> ClientSecret {
        ClientSecret {
            consumer_key: "key".to_owned(),
            consumer_secret: secret.to_owned(),
        }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_is_its_cookies_until_it_ends_by_time_or_by_word() {
        let mut sessions = Sessions::default();
        sessions.begin("one", session("ann", 10), at(0));
        sessions.begin("two", session("bob", 20), at(0));
        let user = |sessions: &Sessions, cookie: &str, now| {
            sessions.find(cookie, at(now)).map(|known| known.user)
        };
        assert_eq!(user(&sessions, "one", 9).as_deref(), Some("ann"));
        assert_eq!(user(&sessions, "one", 10), None);
        assert_eq!(user(&sessions, "three", 0), None);
        assert!(sessions.end("two").is_some());
        assert_eq!(user(&sessions, "two", 0), None);
    }

    #[test]
    fn a_person_has_one_client_in_all_their_sessions_and_nobody_elses_moves_it() {
        let mut sessions = Sessions::default();
        for (cookie, user) in [("one", "ann"), ("two", "ann"), ("three", "bob")] {
            sessions.begin(cookie, session(user, 10), at(0));
        }
        sessions.renew("carbon.super", "ann", &client("new"));
        let secret = |cookie: &str| {
            let known = sessions.find(cookie, at(0));
            known.map(|known| known.client.consumer_secret)
        };
        let secrets = ["one", "two", "three"].map(|cookie| secret(cookie).unwrap_or_default());
        assert_eq!(secrets, ["new", "new", "old"]);
        let of = |user, now| sessions.client_of("carbon.super", user, at(now));
        assert!(of("ann", 9) == Some(client("new")) && of("ann", 10).is_none());
        assert!(of("bob", 0) == Some(client("old")) && of("eve", 0).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_whichever_ends_first_gives_way() {
        let mut sessions = Sessions::default();
        for number in 0..=MOST as u64 {
            sessions.begin(&number.to_string(), session("ann", 100 + number), at(0));
        }
        assert_eq!(sessions.0.len(), MOST);
        assert!(sessions.find("0", at(0)).is_none());
        assert!(sessions.find("1", at(0)).is_some());
        sessions.begin("new", session("bob", 9_999), at(9_000));
        assert_eq!(sessions.0.len(), 1, "those that are over are dropped");
    }
}
