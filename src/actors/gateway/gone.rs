//! What changes themselves say is gone or closed, whoever answers: applications, API keys,
//! subscriptions. Only calls that are open when a change comes rest on what was granted before it,
//! so this is bounded and not kept on disk; what it has forgotten is asked of key managers.

use std::collections::{HashMap, VecDeque};

use domain::application::KeyType;
use domain::change::{Change, Closed};
use foldhash::fast::FixedState;

use super::ended::{Name, name};

/// Things that are known at most; the oldest go first.
const MOST: usize = 16_384;

/// The lately gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// How each ended, and which of `order` counts.
    known: HashMap<Name, (Closed, u64), FixedState>,
    /// The subscription among them that an application had to an API: once it has another one, only who is asked
    /// can tell.
    had: HashMap<Name, Name, FixedState>,
    order: VecDeque<(Name, u64, Name)>,
    next: u64,
}

// === impl Gone ===

impl Gone {
    /// Takes in a change that ends something, or opens it again; no other.
    pub(super) fn apply(&mut self, tenant: &str, change: &Change) {
        match change {
            Change::ApplicationRemoved { application_id } => {
                self.note(application(tenant, application_id), Closed::Removed, None);
            }
            Change::ApiKeyChanged {
                key_hash, revoked, ..
            } => {
                let name = api_key(tenant, key_hash);
                if *revoked {
                    self.note(name, Closed::Removed, None);
                } else {
                    self.known.remove(&name);
                }
            }
            Change::SubscriptionChanged {
                subscription_id,
                api_id,
                application_id,
                closed,
            } => {
                let name = subscription(tenant, subscription_id);
                let holder = holder(tenant, application_id, api_id);
                match closed {
                    Some(closed) => self.note(name, *closed, Some(holder)),
                    None => {
                        self.known.remove(&name);
                        self.has(holder);
                    }
                }
            }
            Change::SubscriptionsMade {
                api_id,
                application_ids,
            } => {
                for application_id in application_ids {
                    self.has(holder(tenant, application_id, api_id));
                }
            }
            _ => {}
        }
    }

    /// Whether this application was removed.
    pub(super) fn is_application(&self, tenant: &str, id: &str) -> bool {
        self.known.contains_key(&application(tenant, id))
    }

    /// Whether the API key of this hash was revoked.
    pub(super) fn is_api_key(&self, tenant: &str, hash: &str) -> bool {
        self.known.contains_key(&api_key(tenant, hash))
    }

    /// What keeps a subscription from letting calls with such keys through.
    pub(super) fn closed(&self, tenant: &str, id: &str, keys: KeyType) -> Option<Closed> {
        let (closed, _) = *self.known.get(&subscription(tenant, id))?;
        (closed != Closed::ProductionBlocked || keys == KeyType::Production).then_some(closed)
    }

    /// There is a subscription now that lets calls through, this one again or another.
    fn has(&mut self, holder: Name) {
        if let Some(before) = self.had.remove(&holder) {
            self.known.remove(&before);
        }
    }

    fn note(&mut self, name: Name, closed: Closed, holder: Option<Name>) {
        self.next += 1;
        self.known.insert(name, (closed, self.next));
        if let Some(holder) = holder {
            self.had.insert(holder, name);
        }
        self.order
            .push_back((name, self.next, holder.unwrap_or(name)));
        while self.order.len() > MOST
            && let Some((oldest, number, holder)) = self.order.pop_front()
        {
            // It may have been said again since.
            let last = self.known.get(&oldest).map(|(_, last)| *last);
            if last.is_none_or(|last| last == number) {
                self.known.remove(&oldest);
                if self.had.get(&holder) == Some(&oldest) {
                    self.had.remove(&holder);
                }
            }
        }
    }
}

/// Who holds a subscription, to what.
fn holder(tenant: &str, application: &str, api: &str) -> Name {
    name([tenant, application, api])
}

fn application(tenant: &str, id: &str) -> Name {
    name([tenant, "application", id])
}

fn api_key(tenant: &str, hash: &str) -> Name {
    name([tenant, "api key", hash])
}

fn subscription(tenant: &str, id: &str) -> Name {
    name([tenant, "subscription", id])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription_changed(id: &str, closed: Option<Closed>) -> Change {
        Change::SubscriptionChanged {
            subscription_id: id.to_owned(),
            api_id: "a".to_owned(),
            application_id: "b".to_owned(),
            closed,
        }
    }

    #[test]
    fn what_a_change_ends_is_known_until_another_opens_it_again() {
        let mut gone = Gone::default();
        let both = |gone: &Gone| {
            let of = |keys| gone.closed("t", "s", keys);
            (of(KeyType::Production), of(KeyType::Sandbox))
        };
        let blocked = Some(Closed::Blocked);
        gone.apply("t", &subscription_changed("s", blocked));
        assert_eq!(both(&gone), (blocked, blocked));
        assert_eq!(gone.closed("u", "s", KeyType::Production), None);
        let half = Some(Closed::ProductionBlocked);
        gone.apply("t", &subscription_changed("s", half));
        assert_eq!(both(&gone), (half, None));
        gone.apply("t", &subscription_changed("s", None));
        assert_eq!(both(&gone), (None, None));
        let key = |revoked| Change::ApiKeyChanged {
            key_hash: "h".to_owned(),
            api_id: "a".to_owned(),
            revoked,
        };
        gone.apply("t", &key(false));
        assert!(!gone.is_api_key("t", "h"));
        gone.apply("t", &key(true));
        assert!(gone.is_api_key("t", "h") && !gone.is_application("t", "h"));
        let application_id = "b".to_owned();
        gone.apply("t", &Change::ApplicationRemoved { application_id });
        assert!(gone.is_application("t", "b"));
    }

    #[test]
    fn a_subscription_that_was_closed_says_nothing_once_there_is_another() {
        let closed = |gone: &Gone| gone.closed("t", "s", KeyType::Production);
        let made = |application: &str| Change::SubscriptionsMade {
            api_id: "a".to_owned(),
            application_ids: vec!["other".to_owned(), application.to_owned()],
        };
        for (another, ends) in [
            (subscription_changed("s2", None), false),
            (made("b"), false),
            (made("c"), true),
        ] {
            let mut gone = Gone::default();
            gone.apply("t", &subscription_changed("s", Some(Closed::Removed)));
            assert_eq!(closed(&gone), Some(Closed::Removed));
            gone.apply("t", &another);
            assert_eq!(closed(&gone).is_some(), ends, "{another:?}");
            assert!(gone.known.len() == gone.had.len());
        }
    }

    #[test]
    fn what_is_remembered_stays_within_its_bound_and_the_latest_is_there() {
        let mut gone = Gone::default();
        let closed = Some(Closed::Blocked);
        gone.apply("t", &subscription_changed("again", closed));
        for n in 0..MOST + 10 {
            gone.apply("t", &subscription_changed(&n.to_string(), closed));
            if n == MOST / 2 {
                gone.apply("t", &subscription_changed("again", closed));
            }
        }
        assert!(gone.known.len() <= MOST && gone.order.len() <= MOST);
        assert!(gone.had.len() <= MOST);
        let is_known = |id: &str| gone.closed("t", id, KeyType::Production).is_some();
        assert!(!is_known("0") && is_known("again") && is_known(&(MOST + 9).to_string()));
    }
}
