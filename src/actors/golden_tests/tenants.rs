//! Whose it is: a message that crosses nodes names the tenant that it is about, or there is a reason why not. A new one
//! has to say which before this compiles or holds.

use std::collections::BTreeSet;

use cluster::Request;
use domain::application::TokenType;
use domain::change::MarkedSubject;
use domain::policy::PolicyLevel;
use domain::usage::{Histogram, UsageCount};
use domain::validation::{Credential, Secret};
use serde::Serialize;

use super::{KINDS, text};
use crate::agreed_view::message::{
    AskView, AskVoter, Claim, GiveUp, HoldOn, OrderView, Retire, Share, TellView, TellVoter,
};
use crate::change_feed::Positions;
use crate::change_feed::message::{Heartbeat, Pull, Snapshot, WaitApplied};
use crate::key_manager::command::{
    Client, ClientSecret, Command, GrantType, NewClient, NewUser, PasswordChange, TokenRequest,
};
use crate::key_manager::message::{CheckBasic, ValidateMany};
use crate::traffic_manager::member::message::{AskKey, AskShards, ChangeKey, KeyChange, TellShard};
use crate::traffic_manager::message::{LeaseMany, LimitName, PassOn, TellLeases, ThrottleKey};
use crate::usage::message::{DeliverUnknown, DeliverUsage};

const TENANT: &str = "tenant.example";

const OF_THE_CLUSTER: &str = "about nodes and who owns which shard: one cluster serves all tenants";
const OF_THE_LOG: &str =
    "about positions in the change log, which is one for all tenants; each entry names its own";
const OF_A_CLIENT: &str = "a consumer key is made by chance and is one client's in all tenants, as the primary key of \
                           oauth_clients holds it: the tenant is the client's, whose secret proves who asks";
const OF_A_KEY: &str = "a consumer key is one client's in all tenants; who asks has it from the keys of an application \
                        of their own tenant";
const OF_A_TOKEN: &str = "a token is made by chance and kept once in all tenants, as the primary key of refresh_tokens \
                          holds it; its answer names tenant and client, by which it is decided who may see it";

/// A kind with a message of it, which must name the tenant as a member of that name.
fn named<R: Request + Serialize>(message: &R) -> u16 {
    let written = serde_json::to_string(message).unwrap();
    let member = format!("\"tenant\":\"{TENANT}\"");
    assert!(written.contains(&member), "0x{:04x}: {written}", R::KIND);
    R::KIND
}

/// Kinds that name no tenant, and why.
const WITHOUT: [(u16, &str); 20] = [
    (
        CheckBasic::KIND,
        "who signs in with a password to a management API is looked for among the people of the one tenant that has \
         them; the answer names it",
    ),
    (
        TellShard::KIND,
        "about a shard, which holds keys of all tenants; each of these names its own",
    ),
    (AskShards::KIND, OF_THE_CLUSTER),
    (Pull::KIND, OF_THE_LOG),
    (Snapshot::KIND, OF_THE_LOG),
    (Heartbeat::KIND, OF_THE_LOG),
    (WaitApplied::KIND, OF_THE_LOG),
    (Positions::KIND, OF_THE_LOG),
    (
        DeliverUnknown::KIND,
        "so many calls of a gateway of which it is not known whose they were",
    ),
    (AskVoter::KIND, OF_THE_CLUSTER),
    (TellVoter::KIND, OF_THE_CLUSTER),
    (AskView::KIND, OF_THE_CLUSTER),
    (TellView::KIND, OF_THE_CLUSTER),
    (Claim::KIND, OF_THE_CLUSTER),
    (Share::KIND, OF_THE_CLUSTER),
    (OrderView::KIND, OF_THE_CLUSTER),
    (HoldOn::KIND, OF_THE_CLUSTER),
    (GiveUp::KIND, OF_THE_CLUSTER),
    (Retire::KIND, OF_THE_CLUSTER),
    // Some of its orders name one: see the next test.
    (Command::KIND, ""),
];

#[test]
fn every_request_names_its_tenant_or_there_is_a_reason_why_not() {
    let (key, asked) = (key(), asked());
    let told = TellLeases {
        shard: 1,
        node: text("g"),
        incarnation: 1,
        limits: asked.limits.clone(),
        news: Vec::new(),
    };
    let credential = Credential {
        tenant: text(TENANT),
        secret: Secret::Opaque(text("h")),
    };
    let validate = ValidateMany {
        applied: 1,
        credentials: vec![credential],
    };
    let mut kinds = BTreeSet::from([
        named(&validate),
        named(&told),
        named(&AskKey { key: key.clone() }),
        named(&ChangeKey {
            key,
            change: KeyChange::Reset,
        }),
        named(&delivered()),
        named(&asked),
        named(&PassOn { asked }),
    ]);
    let with = kinds.len();
    kinds.extend(WITHOUT.map(|(kind, _)| kind));
    assert_eq!(kinds.len(), with + WITHOUT.len(), "one says both");
    assert_eq!(kinds, BTreeSet::from(KINDS));
}

fn key() -> ThrottleKey {
    ThrottleKey {
        tenant: text(TENANT),
        level: PolicyLevel::Application,
        policy: text("p"),
        limit: 0,
        subject: text("s"),
    }
}

fn asked() -> LeaseMany {
    LeaseMany {
        shard: 1,
        node: text("g"),
        incarnation: 1,
        applied: 1,
        asked_at_ms: 1,
        limits: vec![LimitName {
            tenant: text(TENANT),
            level: PolicyLevel::Application,
            policy: text("p"),
            limit: 0,
        }],
        asks: Vec::new(),
    }
}

fn delivered() -> DeliverUsage {
    let count = UsageCount {
        minute_ms: 1,
        tenant: text(TENANT),
        api_id: text("a"),
        application_id: text("b"),
        status: 200,
        calls: 1,
        forwarded: 1,
        bytes_in: 1,
        bytes_out: 1,
        latency: Histogram::default(),
    };
    DeliverUsage {
        node: text("g"),
        incarnation: 1,
        first: 1,
        last: 1,
        counts: vec![count],
    }
}

/// The tenant that a command names, or why it names none.
fn tenant(command: &Command) -> Result<&str, &'static str> {
    match command {
        Command::Issue(TokenRequest { .. })
        | Command::Revoke { .. }
        | Command::Authenticate(ClientSecret { .. }) => Err(OF_A_CLIENT),
        Command::FindClient(_) | Command::RegenerateSecret(_) => Err(OF_A_KEY),
        Command::FindRefresh(_) => Err(OF_A_TOKEN),
        Command::CreateClient(NewClient { tenant, .. })
        | Command::RegisterClient(NewClient { tenant, .. })
        | Command::UpdateClient(Client {
            details: NewClient { tenant, .. },
            ..
        })
        | Command::FindClientByName { tenant, .. }
        | Command::EndAccess { tenant, .. }
        | Command::CreateUser(NewUser { tenant, .. })
        | Command::FindUser { tenant, .. }
        | Command::FindUserByName { tenant, .. }
        | Command::ListUsers { tenant, .. }
        | Command::DeleteUser { tenant, .. }
        | Command::SetPassword { tenant, .. }
        | Command::HasAdministrator(tenant)
        | Command::ChangePassword(PasswordChange { tenant, .. }) => Ok(tenant),
    }
}

/// Commands about tokens and clients, each of another variant.
fn about_clients() -> Vec<Command> {
    let client = NewClient {
        tenant: text(TENANT),
        name: text("n"),
        owner: text("o"),
        grant_types: Vec::new(),
        callback_url: String::new(),
        token_type: TokenType::Jwt,
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    };
    let secret = ClientSecret {
        consumer_key: text("k"),
        consumer_secret: text("s"),
    };
    let issue = TokenRequest {
        client: secret.clone(),
        grant: GrantType::ClientCredentials,
        scopes: Vec::new(),
        validity_seconds: None,
    };
    let revoke = Command::Revoke {
        client: secret.clone(),
        token: text("a"),
    };
    let known = Client {
        consumer_key: text("k"),
        details: client.clone(),
    };
    let by_name = Command::FindClientByName {
        tenant: text(TENANT),
        owner: text("o"),
        name: text("n"),
    };
    vec![
        Command::Issue(issue),
        revoke,
        Command::Authenticate(secret),
        Command::FindClient(text("k")),
        Command::RegenerateSecret(text("k")),
        Command::FindRefresh(text("a")),
        Command::CreateClient(client.clone()),
        Command::RegisterClient(client),
        Command::UpdateClient(known),
        by_name,
    ]
}

/// Commands about people, each of another variant.
fn about_people() -> Vec<Command> {
    let (tenant, id) = (text(TENANT), text("i"));
    let user = NewUser {
        tenant: tenant.clone(),
        name: text("n"),
        password: text("p"),
        email: String::new(),
        given_name: String::new(),
        family_name: String::new(),
        roles: Vec::new(),
    };
    let find = Command::FindUser {
        tenant: tenant.clone(),
        id: id.clone(),
    };
    let by_name = Command::FindUserByName {
        tenant: tenant.clone(),
        name: text("n"),
    };
    let list = Command::ListUsers {
        tenant: tenant.clone(),
        limit: 1,
        offset: 0,
    };
    let end = Command::EndAccess {
        tenant: tenant.clone(),
        subject: MarkedSubject::User,
        id: id.clone(),
    };
    let delete = Command::DeleteUser {
        tenant: tenant.clone(),
        id: id.clone(),
    };
    let set = Command::SetPassword {
        tenant: tenant.clone(),
        id,
        password: text("p"),
    };
    let change = PasswordChange {
        tenant: tenant.clone(),
        name: text("n"),
        current: text("p"),
        new: text("q"),
        address: [203, 0, 113, 9].into(),
    };
    let people = [
        Command::CreateUser(user),
        find,
        by_name,
        list,
        end,
        delete,
        set,
    ];
    let others = [
        Command::HasAdministrator(tenant),
        Command::ChangePassword(change),
    ];
    people.into_iter().chain(others).collect()
}

#[test]
fn every_command_names_its_tenant_or_there_is_a_reason_why_not() {
    let mut without = Vec::new();
    for command in about_clients().into_iter().chain(about_people()) {
        let written = serde_json::to_string(&command).unwrap();
        match tenant(&command) {
            Ok(named) => assert_eq!(named, TENANT, "{written}"),
            Err(reason) => {
                assert!(!reason.is_empty() && !written.contains(TENANT), "{written}");
                without.push(reason);
            }
        }
    }
    let reasons = [
        OF_A_CLIENT,
        OF_A_CLIENT,
        OF_A_CLIENT,
        OF_A_KEY,
        OF_A_KEY,
        OF_A_TOKEN,
    ];
    assert_eq!(without, reasons);
}
