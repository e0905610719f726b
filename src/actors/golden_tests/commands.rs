//! Kind 0x0103: every command and everything that comes of one, in the order of their variants.

use domain::application::TokenType;
use domain::change::MarkedSubject;

use super::{Frozen, text};
use crate::change_feed::Applied;
use crate::key_manager::command::{
    Client, ClientSecret, Command, GrantType, Issued, NewClient, NewUser, OauthRefusal, Outcome,
    Refresh, Refused, TokenRequest, User,
};

fn secret() -> ClientSecret {
    ClientSecret {
        consumer_key: text("k"),
        consumer_secret: text("s"),
    }
}

fn issue(grant: GrantType) -> Command {
    Command::Issue(TokenRequest {
        client: secret(),
        grant,
        scopes: vec![text("x")],
        validity_seconds: Some(60),
    })
}

fn client(token_type: TokenType) -> NewClient {
    NewClient {
        tenant: text("t"),
        name: text("n"),
        owner: text("o"),
        grant_types: vec![text("g")],
        callback_url: text("c"),
        token_type,
        access_token_seconds: Some(3_600),
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    }
}

fn known(token_type: TokenType) -> Client {
    Client {
        consumer_key: text("k"),
        details: client(token_type),
    }
}

fn end(subject: MarkedSubject) -> Command {
    Command::EndAccess {
        tenant: text("t"),
        subject,
        id: text("i"),
    }
}

fn user() -> User {
    User {
        id: text("i"),
        name: text("n"),
        email: text("e"),
        given_name: text("g"),
        family_name: text("f"),
        active: true,
        roles: vec![text("r")],
        created_at_ms: 1,
        updated_at_ms: 2,
    }
}

#[test]
fn orders_about_tokens_and_clients_keep_their_bytes() {
    let by_password = GrantType::Password {
        username: text("u"),
        password: text("p"),
        address: [203, 0, 113, 9].into(),
    };
    let revoke = Command::Revoke {
        client: secret(),
        token: text("a"),
    };
    let by_name = Command::FindClientByName {
        tenant: text("t"),
        owner: text("o"),
        name: text("n"),
    };
    Frozen::default()
        .request(
            &issue(GrantType::ClientCredentials),
            "010300010000000b00016b0173000101780178",
        )
        .request(
            &issue(by_password),
            "010300010000001400016b0173010175017000cb0071090101780178",
        )
        .request(
            &issue(GrantType::RefreshToken(text("r"))),
            "010300010000000d00016b01730201720101780178",
        )
        .request(&revoke, "010300010000000701016b01730161")
        .request(
            &Command::Authenticate(secret()),
            "010300010000000502016b0173",
        )
        .request(
            &Command::CreateClient(client(TokenType::Jwt)),
            "0103000100000014030174016e016f01016701630001fb201c000000",
        )
        .request(&Command::FindClient(text("k")), "010300010000000304016b")
        .request(&by_name, "0103000100000007050174016f016e")
        .request(
            &Command::UpdateClient(known(TokenType::Oauth)),
            "010300010000001606016b0174016e016f01016701630101fb201c000000",
        )
        .request(
            &Command::RegenerateSecret(text("k")),
            "010300010000000307016b",
        )
        .request(&end(MarkedSubject::User), "0103000100000006080174000169")
        .request(
            &end(MarkedSubject::Application),
            "0103000100000006080174010169",
        )
        .request(&end(MarkedSubject::Client), "0103000100000006080174020169")
        .request(&end(MarkedSubject::Login), "0103000100000006080174040169")
        .request(&end(MarkedSubject::Session), "0103000100000006080174030169")
        .hold();
}

#[test]
fn a_registration_keeps_its_bytes() {
    Frozen::default()
        .request(
            &Command::RegisterClient(client(TokenType::Jwt)),
            "0103000100000014110174016e016f01016701630001fb201c000000",
        )
        .hold();
}

#[test]
fn orders_about_people_keep_their_bytes() {
    let (tenant, id) = (text("t"), text("i"));
    let create = Command::CreateUser(NewUser {
        tenant: text("t"),
        name: text("n"),
        password: text("p"),
        email: text("e"),
        given_name: text("g"),
        family_name: text("f"),
        roles: vec![text("r")],
    });
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
        limit: 25,
        offset: 300,
    };
    let delete = Command::DeleteUser {
        tenant: tenant.clone(),
        id: id.clone(),
    };
    let password = Command::SetPassword {
        tenant,
        id,
        password: text("p"),
    };
    Frozen::default()
        .request(&create, "0103000100000010090174016e0170016501670166010172")
        .request(&find, "01030001000000050a01740169")
        .request(&by_name, "01030001000000050b0174016e")
        .request(&list, "01030001000000070c017419fb2c01")
        .request(&delete, "01030001000000050d01740169")
        .request(&password, "01030001000000070e017401690170")
        .request(
            &Command::HasAdministrator(text("t")),
            "01030001000000030f0174",
        )
        .request(&Command::FindRefresh(text("a")), "0103000100000003100161")
        .hold();
}

#[test]
fn outcomes_keep_their_bytes() {
    let outcomes = [
        Outcome::Issued(Issued {
            access_token: text("a"),
            refresh_token: Some(text("r")),
            id_token: None,
            scopes: vec![text("x")],
            expires_in: 3_600,
        }),
        Outcome::Client {
            client: known(TokenType::Jwt),
            secret: Some(text("s")),
        },
        Outcome::User(user()),
        Outcome::Users {
            users: vec![user()],
            total: 1,
        },
        Outcome::Applied(Applied {
            done: 1,
            all: 1,
            missing: Vec::new(),
        }),
        Outcome::Yes,
        Outcome::No,
        Outcome::Refresh(Refresh {
            consumer_key: text("k"),
            tenant: text("t"),
            user: text("u"),
            scopes: text("x"),
            issued_at_ms: 1,
            expires_at_ms: 2,
        }),
        Outcome::Changed(
            Box::new(Outcome::User(user())),
            Applied {
                done: 1,
                all: 1,
                missing: Vec::new(),
            },
        ),
    ];
    let bytes = [
        "010300010000000e0000016101017200010178fb201c",
        "010300010000001a0001016b0174016e016f01016701630001fb201c000000010173",
        "010300010000001200020169016e016501670166010101720204",
        "01030001000000140003010169016e01650167016601010172020401",
        "01030001000000050004010100",
        "01030001000000020005",
        "01030001000000020006",
        "010300010000000c0007016b0174017501780204",
        "01030001000000160008020169016e016501670166010101720204010100",
    ];
    let mut frozen = Frozen::default();
    for (outcome, hex) in outcomes.into_iter().zip(bytes) {
        frozen = frozen.reply::<Command>(&Ok(outcome), hex);
    }
    frozen.hold();
}

#[test]
fn refusals_keep_their_bytes() {
    let refusals = [
        Refused::Oauth(OauthRefusal::InvalidClient, text("w")),
        Refused::Oauth(OauthRefusal::InvalidGrant, text("w")),
        Refused::Oauth(OauthRefusal::UnauthorizedClient, text("w")),
        Refused::Oauth(OauthRefusal::InvalidScope, text("w")),
        Refused::BadField {
            field: text("f"),
            problem: text("p"),
        },
        Refused::Duplicate(text("d")),
        Refused::NotFound(text("n")),
        Refused::Unavailable,
    ];
    let bytes = [
        "01030001000000050100000177",
        "01030001000000050100010177",
        "01030001000000050100020177",
        "01030001000000050100030177",
        "0103000100000006010101660170",
        "010300010000000401020164",
        "01030001000000040103016e",
        "01030001000000020104",
    ];
    let mut frozen = Frozen::default();
    for (refusal, hex) in refusals.into_iter().zip(bytes) {
        frozen = frozen.reply::<Command>(&Err(refusal), hex);
    }
    frozen.hold();
}
