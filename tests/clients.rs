//! Who gets and sees which tokens at `/oauth2`: each client by its own grant types, with its own refresh tokens, and told
//! of its own tokens alone.

use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::node::Node;
use crate::support::platform::text;

const REGISTER: &str = "/client-registration/v0.17/register";
const PASSWORD: &str = "Open-sesame-1";

/// A registered client: its name, key and secret.
struct Client {
    key: String,
    secret: String,
}

async fn client(node: &Node, name: &str, grants: &str) -> Client {
    let body = json!({"clientName": name, "grantType": grants});
    let call = node.post(REGISTER).basic("admin", &node.admin_password);
    let made = call.json(&body).send().await.expect(200).json();
    Client {
        key: text(&made, "clientId").to_owned(),
        secret: text(&made, "clientSecret").to_owned(),
    }
}

/// Two clients that people may sign in with.
async fn two(node: &Node) -> [Client; 2] {
    let grants = "client_credentials password refresh_token";
    [
        client(node, "a", grants).await,
        client(node, "b", grants).await,
    ]
}

impl Client {
    fn post(&self, node: &Node, operation: &str) -> Call {
        let call = node.post(&format!("/oauth2/{operation}"));
        call.basic(&self.key, &self.secret)
    }

    /// Asks for a token of the administrator.
    async fn sign_in(&self, node: &Node) -> Answer {
        let login = [
            ("grant_type", "password"),
            ("username", "admin"),
            ("password", &node.admin_password),
        ];
        self.post(node, "token").form(&login).send().await
    }

    async fn refresh(&self, node: &Node, token: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post(node, "token").form(&form).send().await
    }

    /// What introspection tells it of a token.
    async fn told(&self, node: &Node, token: &str) -> Value {
        let call = self.post(node, "introspect").form(&[("token", token)]);
        call.send().await.expect(200).json()
    }
}

#[tokio::test]
async fn a_client_gets_tokens_by_the_grant_types_it_was_registered_with_and_no_other() {
    let node = Node::start().await;
    let alone = client(&node, "alone", "client_credentials").await;
    let refused = alone.sign_in(&node).await.expect(400).json();
    assert_eq!(refused["error"], "unauthorized_client", "{refused}");
    let refused = alone.refresh(&node, "any").await.expect(400).json();
    assert_eq!(refused["error"], "unauthorized_client", "{refused}");
    assert!(
        !node
            .client_token(&alone.key, &alone.secret)
            .await
            .is_empty()
    );
    let people = client(&node, "people", "password").await;
    people.sign_in(&node).await.expect(200);
    let own = people.post(&node, "token");
    let own = own.form(&[("grant_type", "client_credentials")]);
    let refused = own.send().await.expect(400).json();
    assert_eq!(refused["error"], "unauthorized_client", "{refused}");
}

#[tokio::test]
async fn a_refresh_token_works_for_its_client_alone_and_still_does_after_another_tried() {
    let node = Node::start().await;
    let [a, b] = two(&node).await;
    let issued = a.sign_in(&node).await.expect(200).json();
    let refresh = text(&issued, "refresh_token");
    let refused = b.refresh(&node, refresh).await.expect(400).json();
    assert_eq!(refused["error"], "invalid_grant", "{refused}");
    let again = a.refresh(&node, refresh).await.expect(200).json();
    assert!(!text(&again, "access_token").is_empty());
}

#[tokio::test]
async fn a_client_is_told_of_its_own_tokens_alone_and_nobody_without_a_secret_of_any() {
    let node = Node::start().await;
    let [a, b] = two(&node).await;
    let issued = a.sign_in(&node).await.expect(200).json();
    let (access, refresh) = (
        text(&issued, "access_token"),
        text(&issued, "refresh_token"),
    );
    for token in [access, refresh] {
        assert_eq!(a.told(&node, token).await["active"], true);
        assert_eq!(b.told(&node, token).await, json!({"active": false}));
    }
    let ask = || node.post("/oauth2/introspect").form(&[("token", access)]);
    for nobody in [
        ask(),
        ask().basic(&a.key, "wrong"),
        ask().basic("nobody", &a.secret),
    ] {
        let refused = nobody.send().await.expect(401);
        assert_eq!(refused.json()["error"], "invalid_client");
    }
    // A person's token that is not an administrator's, though it is the very token.
    ask().bearer(access).send().await.expect(403);
    let admin = node.admin_token().await;
    let told = ask().bearer(&admin).send().await.expect(200).json();
    assert_eq!(told["active"], true, "{told}");
}

#[tokio::test]
async fn a_revocation_says_nothing_and_another_clients_token_goes_on() {
    let node = Node::start().await;
    let [a, b] = two(&node).await;
    let issued = a.sign_in(&node).await.expect(200).json();
    let access = text(&issued, "access_token");
    let revoke = async |client: &Client, token: &str| {
        let call = client.post(&node, "revoke").form(&[("token", token)]);
        let done = call.send().await.expect(200);
        assert!(done.body.is_empty(), "{}", done.text());
    };
    revoke(&b, access).await;
    revoke(&b, "no token at all").await;
    assert_eq!(a.told(&node, access).await["active"], true);
    revoke(&a, access).await;
    assert_eq!(a.told(&node, access).await, json!({"active": false}));
}

#[tokio::test]
async fn nobody_but_an_administrator_registers_a_client_for_another() {
    let mut node = Node::start().await;
    let admin = node.admin_token().await;
    let person = json!({
        "userName": "sue", "password": PASSWORD, "roles": [{"value": "Internal/subscriber"}],
    });
    let made = node.post("/scim2/Users").bearer(&admin).json(&person);
    made.send().await.expect(201);
    let theirs = client(&node, "theirs", "client_credentials").await;
    let register = async |name: &str, owner: &str| {
        let body = json!({"clientName": name, "owner": owner, "grantType": "password"});
        let call = node.post(REGISTER).basic("sue", PASSWORD);
        call.json(&body).send().await
    };
    // One that is there, which would be taken over, and one that would be made.
    for name in ["theirs", "client-of-nobody"] {
        for owner in ["admin", "Admin@carbon.super", "nobody"] {
            let refused = register(name, owner).await.expect(400).json();
            assert_eq!(refused["error"][0]["code"], "owner", "{refused}");
        }
    }
    let token = node.client_token(&theirs.key, &theirs.secret).await;
    assert!(!token.is_empty());
    let own = register("client-of-sue", "sue").await.expect(200).json();
    assert_eq!(own["appOwner"], "sue");
    assert_eq!(node.terminate().await, Some(0));
    assert!(is_kept(&node, "client-of-sue"));
    assert!(!is_kept(&node, "client-of-nobody"));
}

/// Whether a database of a node that has ended holds this text.
fn is_kept(node: &Node, text: &str) -> bool {
    let entries = node.dir.join("data").read_dir().expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut databases = paths.filter(|path| path.to_string_lossy().contains(".db"));
    databases.any(|path| {
        let bytes = std::fs::read(path).expect("a database");
        let mut places = bytes.windows(text.len());
        places.any(|found| found == text.as_bytes())
    })
}
