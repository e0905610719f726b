//! Deny policies against calls (wso2-behaviour §5).

use domain::application::ApplicationStatus;
use domain::deny_policy::{DenyPolicy, DenyTarget};

use super::*;

const TENANT: &str = "t";

fn policy(id: &str, target: DenyTarget) -> DenyPolicy {
    DenyPolicy {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        target,
        application_id: None,
        active: true,
    }
}

fn one(target: DenyTarget) -> Rules {
    let mut rules = Rules::default();
    rules.deny(policy("1", target));
    rules
}

fn facts(address: &str) -> Facts<'static> {
    Facts {
        api: "/pizza/1.0.0",
        application: None,
        user: None,
        address: address.parse().unwrap(),
    }
}

/// Which of these addresses a policy lets through.
fn let_through(target: DenyTarget, addresses: &[&'static str]) -> Vec<&'static str> {
    let rules = one(target);
    let passes = |address: &&str| !rules.denies(TENANT, &facts(address));
    addresses.iter().copied().filter(passes).collect()
}

#[test]
fn an_address_is_denied_alone_and_inverted_it_is_the_only_one_that_is_not() {
    let all = ["10.0.0.1", "10.0.0.2", "::1"];
    for (invert, passing) in [(false, &all[1..]), (true, &all[..1])] {
        let address = "10.0.0.1".to_owned();
        let target = DenyTarget::Address { address, invert };
        assert_eq!(let_through(target, &all), passing, "{invert}");
    }
}

#[test]
fn a_range_is_denied_with_both_ends_and_inverted_everything_else_is() {
    let all = [
        "10.0.0.4",
        "10.0.0.5",
        "10.0.0.7",
        "10.0.0.9",
        "10.0.0.10",
        "::1",
    ];
    for (invert, passing) in [
        (false, vec!["10.0.0.4", "10.0.0.10", "::1"]),
        (true, vec!["10.0.0.5", "10.0.0.7", "10.0.0.9"]),
    ] {
        let (from, to) = ("10.0.0.5".to_owned(), "10.0.0.9".to_owned());
        let target = DenyTarget::AddressRange { from, to, invert };
        assert_eq!(let_through(target, &all), passing, "{invert}");
    }
    let (from, to) = ("2001:db8::1".to_owned(), "2001:db8::ff".to_owned());
    let invert = false;
    let target = DenyTarget::AddressRange { from, to, invert };
    let all = ["2001:db8::1", "2001:db8::80", "2001:db8::100"];
    assert_eq!(let_through(target, &all), ["2001:db8::100"]);
}

#[test]
fn apis_users_and_applications_are_denied_by_what_they_are_called_and_an_application_by_what_it_is()
{
    let granted = |id: &str, name: &str| GrantedApplication {
        id: id.to_owned(),
        name: name.to_owned(),
        owner: "Ann".to_owned(),
        policy: "Unlimited".to_owned(),
        status: ApplicationStatus::Approved,
    };
    let (shop, other) = (granted("a1", "Shop"), granted("a2", "Other"));
    let by = |application| Facts {
        application: Some(application),
        user: Some("Ann@carbon.super"),
        ..facts("::1")
    };
    let denies = |target: DenyTarget, facts: &Facts<'_>| one(target).denies(TENANT, facts);
    for (context, denied) in [("/pizza/1.0.0", true), ("/pizza/2.0.0", false)] {
        assert_eq!(
            denies(DenyTarget::Api(context.to_owned()), &by(&shop)),
            denied
        );
    }
    for (name, denied) in [("ann@CARBON.super", true), ("ann", false)] {
        assert_eq!(
            denies(DenyTarget::User(name.to_owned()), &by(&shop)),
            denied
        );
    }
    let named = DenyTarget::Application("ann:shop".to_owned());
    assert!(denies(named.clone(), &by(&shop)) && !denies(named.clone(), &by(&other)));
    assert!(!denies(named.clone(), &facts("::1")), "nobody's call");
    let mut rules = Rules::default();
    rules.deny(DenyPolicy {
        application_id: Some("a2".to_owned()),
        ..policy("1", named)
    });
    assert!(rules.denies(TENANT, &by(&other)), "renamed");
}

#[test]
fn what_is_not_in_force_or_taken_out_or_of_another_tenant_denies_nothing() {
    let target = DenyTarget::Api("/pizza/1.0.0".to_owned());
    let mut rules = one(target.clone());
    let call = facts("::1");
    assert!(rules.denies_any(TENANT) && rules.denies(TENANT, &call));
    assert!(!rules.denies_any("other") && !rules.denies("other", &call));
    rules.deny(DenyPolicy {
        active: false,
        ..policy("1", target.clone())
    });
    assert!(!rules.denies_any(TENANT) && !rules.denies(TENANT, &call));
    rules.deny(policy("1", target));
    rules.undeny("1");
    assert!(!rules.denies_any(TENANT) && !rules.denies(TENANT, &call));
}
