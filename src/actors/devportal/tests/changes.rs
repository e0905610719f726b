//! How changes are made: nobody waits for another's followers, a change meets what its author has
//! seen, and a client that is taken over brings no tokens along.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::{Actor, Address, Asked, BoxError, Child, Door, child};

use super::*;
use crate::change_feed::ChangeFeedHandle;
use crate::change_feed::message::WaitApplied;
use crate::change_feed::{Applied, How, Missing};

/// How often a portal waited for its followers. All but the last of so many wait until that one
/// does: a follower that lags, without its time.
#[derive(Clone)]
pub(super) struct Waits {
    until: usize,
    asked: Arc<AtomicUsize>,
}

/// Where they are asked.
struct Laggard {
    waits: Waits,
    parked: Vec<Asked<WaitApplied>>,
}

// === impl Waits ===

impl Waits {
    fn until(until: usize) -> Self {
        Self {
            until,
            asked: Arc::default(),
        }
    }

    fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(super) fn in_front_of(
        self,
        feed: &ChangeFeedHandle,
        system: &System,
    ) -> (ChangeFeedHandle, Option<Child>) {
        let (address, child) = child::<Laggard>(system, "laggard", self);
        let door = Door::local(system, address, |asked| asked, Some);
        (feed.clone().waiting_at(door), Some(child))
    }
}

impl Actor for Laggard {
    type Message = Asked<WaitApplied>;
    type Arguments = Waits;
    const KIND: &'static str = "test.laggard";

    async fn start(waits: Waits, _me: Address<Asked<WaitApplied>>) -> Result<Self, BoxError> {
        let parked = Vec::new();
        Ok(Self { waits, parked })
    }

    async fn handle(&mut self, asked: Asked<WaitApplied>) -> Result<(), BoxError> {
        self.parked.push(asked);
        let count = self.waits.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if count >= self.waits.until {
            for asked in self.parked.drain(..) {
                asked.reply.send(Applied {
                    done: 0,
                    all: 1,
                    missing: vec![laggard()],
                });
            }
        }
        Ok(())
    }
}

fn laggard() -> Missing {
    Missing {
        name: "laggard".to_owned(),
        how: How::Unreached,
    }
}

#[tokio::test]
async fn a_follower_that_lags_holds_up_its_own_change_and_no_other() {
    // None is answered before all wait: more than there are writers wait at once.
    let bench = bench_waiting(Some(Waits::until(60))).await;
    let mut made = Vec::new();
    for n in 0..60 {
        let new = application(&format!("app {n}"), "ann");
        let portal = bench.portal.clone();
        made.push(cluster::spawn_named("test", async move {
            portal.create_application(new).await
        }));
    }
    for one in made {
        let changed = one.await.unwrap().unwrap();
        assert_eq!(changed.applied.missing, [laggard()]);
    }
}

#[tokio::test]
async fn a_removal_waits_once_for_all_that_it_changes() {
    let waits = Waits::until(1);
    let bench = bench_waiting(Some(waits.clone())).await;
    let portal = &bench.portal;
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    for kind in [KeyType::Production, KeyType::Sandbox] {
        let wanted = NewClient {
            name: domain::application::client_name("ann", &made.id, kind.as_str()),
            ..client(&made)
        };
        let keys = portal.create_keys(made.clone(), kind, wanted, "{}".to_owned());
        keys.await.unwrap();
    }
    let before = waits.count();
    portal.delete_application(made).await.unwrap();
    assert_eq!(waits.count() - before, 1, "for three entries");
}

#[tokio::test]
async fn several_subscriptions_wait_once_and_say_each_what_became_of_it() {
    let waits = Waits::until(1);
    let bench = bench_waiting(Some(waits.clone())).await;
    let portal = &bench.portal;
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let first = published(&bench, "pizza").await;
    let second = published(&bench, "pasta").await;
    let before = waits.count();
    let wanted = [&first, &first, &second].map(|api| subscription(api, &made));
    let changed = portal.create_subscriptions(wanted.to_vec()).await.unwrap();
    assert_eq!(waits.count() - before, 1);
    assert_eq!(changed.applied.missing, [laggard()]);
    let fared: Vec<_> = changed.value.iter().map(Result::is_ok).collect();
    assert_eq!(fared, [true, false, true]);
}

#[tokio::test]
async fn what_was_changed_since_it_was_read_is_not_removed() {
    let bench = bench().await;
    let portal = &bench.portal;
    let is_stale = |error: DevPortalError| {
        assert!(
            matches!(error, DevPortalError::Store(StoreError::Stale)),
            "{error}"
        );
    };
    let made = portal.create_application(application("Shop", "ann")).await;
    let read = made.unwrap().value;
    let changed = Application {
        description: "another".to_owned(),
        ..read.clone()
    };
    portal.update_application(changed).await.unwrap();
    is_stale(portal.delete_application(read.clone()).await.unwrap_err());
    let keys = portal.create_keys(
        read.clone(),
        KeyType::Production,
        client(&read),
        "{}".to_owned(),
    );
    let (key, served, _) = keys.await.unwrap().value;
    let changed = ApplicationKey {
        properties: "{\"a\":1}".to_owned(),
        ..key.clone()
    };
    portal
        .update_keys(changed.clone(), served, None)
        .await
        .unwrap();
    is_stale(portal.delete_keys(key.clone(), true).await.unwrap_err());
    portal.delete_keys(changed, true).await.unwrap();
    let any = Application {
        row_version: 0,
        ..read
    };
    portal.delete_application(any).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_taken_over_brings_no_tokens_along() {
    let bench = bench().await;
    let portal = &bench.portal;
    let key_manager = portal.key_manager();
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let (left, old) = key_manager.create_client(client(&made)).await.unwrap();
    let token = async |secret: String| {
        let request = TokenRequest {
            client: ClientSecret {
                consumer_key: left.consumer_key.clone(),
                consumer_secret: secret,
            },
            grant: GrantType::ClientCredentials,
            scopes: Vec::new(),
            validity_seconds: None,
        };
        key_manager.issue(request).await.unwrap().access_token
    };
    let before = token(old).await;
    let keys = portal.create_keys(
        made.clone(),
        KeyType::Production,
        client(&made),
        "{}".to_owned(),
    );
    let (key, _, secret) = keys.await.unwrap().value;
    assert_eq!(key.consumer_key, left.consumer_key);
    let after = token(secret).await;
    for (token, is_granted) in [(before, false), (after, true)] {
        let verdict = key_manager.validate(&token).await.unwrap();
        assert_eq!(matches!(verdict, Verdict::Granted(_)), is_granted);
    }
}
