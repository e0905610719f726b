use super::*;
use crate::api::SUPER_TENANT;
use crate::application::{ApplicationStatus, KeyType};
use crate::validation::{GrantKind, GrantedApplication, UserType};

const DAY: i64 = 86_400_000;
const MOST: usize = 1_000;

fn granted(consumer_key: &str, application: &str) -> Grant {
    Grant {
        at: 5,
        tenant: SUPER_TENANT.to_owned(),
        kind: GrantKind::Jwt,
        issuer: "issuer".to_owned(),
        token_id: "t".to_owned(),
        session: None,
        consumer_key: consumer_key.to_owned(),
        key_type: KeyType::Sandbox,
        scopes: Vec::new(),
        audiences: Vec::new(),
        user: "ann".to_owned(),
        user_type: UserType::Application,
        issued_at_ms: 0,
        not_before_ms: None,
        expires_at_ms: None,
        application: Some(GrantedApplication {
            id: application.to_owned(),
            name: "shop".to_owned(),
            owner: "ann".to_owned(),
            policy: "Unlimited".to_owned(),
            status: ApplicationStatus::Approved,
        }),
        subscriptions: Vec::new(),
        bound_api_id: None,
        permitted_ips: Vec::new(),
        permitted_referers: Vec::new(),
    }
}

fn subject(kind: SubjectKind, id: &str) -> Vec<Subject> {
    vec![Subject::new(kind, SUPER_TENANT, id)]
}

fn keys(said: &[Said]) -> Vec<&str> {
    let keys = said.iter().map(|said| said.consumer.consumer_key.as_str());
    keys.collect()
}

#[test]
fn what_a_change_touches_is_forgotten_unless_it_was_said_knowing_the_change() {
    let mut consumers = KnownConsumers::new(MOST);
    consumers.learn(&granted("old", "shop"), 5, 0);
    consumers.learn(&granted("new", "shop"), 7, 0);
    consumers.learn(&granted("other", "else"), 5, 0);
    consumers.touch(&subject(SubjectKind::User, "old"), 9);
    consumers.touch(&subject(SubjectKind::Application, "shop"), 7);
    assert!(consumers.find("old", 0).is_none());
    assert!(consumers.find("new", 0).is_some() && consumers.find("other", 0).is_some());
    consumers.touch(&subject(SubjectKind::Client, "new"), 8);
    assert!(consumers.find("new", 0).is_none());
    assert_eq!(keys(&consumers.take_unsaved(MOST)), ["other"]);
    consumers.clear();
    assert!(consumers.find("other", 0).is_none() && consumers.is_empty());
}

#[test]
fn a_client_is_written_when_something_new_is_said_and_once_a_day_else() {
    let mut consumers = KnownConsumers::new(MOST);
    let mut grant = granted("one", "shop");
    consumers.learn(&grant, 5, 0);
    let taken = consumers.take_unsaved(MOST);
    assert_eq!(keys(&taken), ["one"]);
    consumers.learn(&grant, 6, DAY - 1);
    assert!(consumers.take_unsaved(MOST).is_empty());
    consumers.save_again(&taken);
    let again = consumers.take_unsaved(MOST);
    assert_eq!(keys(&again), ["one"], "it was not written");
    consumers.learn(&grant, 6, DAY);
    assert_eq!(keys(&consumers.take_unsaved(MOST)), ["one"]);
    grant.application = None;
    consumers.learn(&grant, 6, DAY);
    assert_eq!(keys(&consumers.take_unsaved(MOST)), ["one"]);
    assert!(consumers.find("one", 31 * DAY).is_none(), "too long ago");
}

#[test]
fn clients_stay_within_their_bound_and_the_oldest_go_first() {
    let mut consumers = KnownConsumers::new(MOST);
    for n in 0..MOST + 10 {
        let at_ms = i64::try_from(n).unwrap();
        consumers.learn(&granted(&n.to_string(), "shop"), 5, at_ms);
    }
    assert_eq!((consumers.len(), consumers.unsaved()), (MOST, MOST));
    assert!(consumers.find("9", 0).is_none() && consumers.find("10", 0).is_some());
    assert!(consumers.find(&(MOST + 9).to_string(), 0).is_some());
    assert_eq!(consumers.of_application["shop"].len(), MOST);
    assert_eq!(consumers.ages.len(), MOST);
}

#[test]
fn a_change_costs_what_it_touches_among_a_hundred_thousand_consumers() {
    const MANY: usize = 100_000;
    let mut consumers = KnownConsumers::new(MANY);
    for n in 0..MANY {
        // Two clients an application.
        let application = (n / 2).to_string();
        consumers.learn(&granted(&n.to_string(), &application), 5, 0);
    }
    let mut looked = 0;
    for n in 0..1_000_u64 {
        let of = |kind| subject(kind, &n.to_string());
        looked += consumers.touch(&of(SubjectKind::User), 6 + n);
        looked += consumers.touch(&of(SubjectKind::Application), 6 + n);
        looked += consumers.touch(&of(SubjectKind::Client), 6 + n);
    }
    assert_eq!(looked, 3_000, "two of each application and each client");
    assert_eq!(consumers.len(), MANY - 2_000);
    // And it is moved with its client, to another application.
    consumers.learn(&granted("90000", "moved"), 7, 0);
    consumers.touch(&subject(SubjectKind::Application, "45000"), 8);
    assert!(consumers.find("90000", 0).is_some() && consumers.find("90001", 0).is_none());
    assert_eq!(
        consumers.touch(&subject(SubjectKind::Application, "moved"), 8),
        1
    );
    assert!(consumers.find("90000", 0).is_none());
    let mut lots = 0;
    while !consumers.take_unsaved(64).is_empty() {
        lots += 1;
    }
    assert_eq!(lots, (MANY - 2_002).div_ceil(64));
}
