//! Orders that nobody waits for any more are not carried out, and a policy's removal, which looks
//! through all documents, holds up no denial.

use std::pin::Pin;
use std::task::Poll;

use domain::deny_policy::{DenyPolicy, DenyTarget};

use super::*;

/// Has a future send its order.
pub(super) async fn sent<F: Future>(future: &mut Pin<Box<F>>) {
    let mut polled = |context: &mut std::task::Context<'_>| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    };
    std::future::poll_fn(&mut polled).await;
}

fn denial(user: &str) -> DenyPolicy {
    DenyPolicy {
        id: writer::new_id(),
        tenant: SUPER_TENANT.to_owned(),
        target: DenyTarget::User(user.to_owned()),
        application_id: None,
        active: true,
    }
}

#[tokio::test]
async fn an_order_of_the_portal_whose_caller_gave_up_is_not_carried_out() {
    let bench = bench().await;
    let portal = &bench.portal;
    let made = portal.create_application(application("Shop", "ann")).await;
    let any = Application {
        row_version: 0,
        ..made.unwrap().value
    };
    let busy = bench.apim.write("test.busy").await.unwrap();
    let mut first = Box::pin(portal.update_application(any.clone()));
    sent(&mut first).await;
    let mut given_up = Box::pin(portal.delete_application(any.clone()));
    sent(&mut given_up).await;
    drop(given_up);
    drop(busy);
    first.await.unwrap();
    portal.update_application(any).await.unwrap();
}

#[tokio::test]
async fn an_order_of_the_administration_whose_caller_gave_up_is_not_carried_out() {
    let bench = bench().await;
    let admin = &bench.admin;
    let made = admin.create_deny_policy(denial("eve")).await.unwrap().value;
    let busy = bench.apim.write("test.busy").await.unwrap();
    let mut first = Box::pin(admin.set_deny_policy(made.clone(), false, false));
    sent(&mut first).await;
    let mut given_up = Box::pin(admin.delete_deny_policy(made.clone(), false));
    sent(&mut given_up).await;
    drop(given_up);
    drop(busy);
    first.await.unwrap();
    let again = admin.set_deny_policy(made, true, false).await.unwrap();
    assert!(again.value.active);
}

#[tokio::test]
async fn a_denial_waits_for_no_removal_of_a_policy_that_looks_through_documents() {
    let bench = bench().await;
    published(&bench, "pizza").await;
    let level = PolicyLevel::Subscription;
    let plans = bench.admin.policies(SUPER_TENANT, level).await.unwrap();
    // Nobody reads a document until these are dropped.
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(bench.shared.read().await.unwrap());
    }
    let mut removals = Vec::new();
    for plan in plans.into_iter().filter(|plan| !plan.is_built_in()) {
        let admin = bench.admin.clone();
        let mut removal = Box::pin(async move { admin.delete_policy(plan).await });
        sent(&mut removal).await;
        removals.push(cluster::spawn_named("test", removal));
    }
    assert!(removals.len() > 2, "for every writer one");
    for n in 0..4 {
        let denied = bench.admin.create_deny_policy(denial(&format!("eve{n}")));
        denied.await.unwrap();
    }
    assert!(removals.iter().all(|removal| !removal.is_finished()));
    drop(readers);
    let mut refused = 0;
    for removal in removals {
        refused += usize::from(removal.await.unwrap().is_err());
    }
    assert_eq!(refused, 1, "the one that the API names");
}
