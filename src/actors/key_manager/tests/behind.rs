//! A key manager that sees an older state than the gateway that asks it.

use domain::validation::Credential;

use super::super::handle::bearer;
use super::super::message::Validated;
use super::*;

#[tokio::test]
async fn a_key_manager_that_is_behind_whoever_asks_says_so_and_judges_nothing() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, client) = bench.client(TokenType::Jwt).await;
    let grant = request(&client, GrantType::ClientCredentials, "");
    let token = bench.km.issue(grant).await.unwrap().access_token;
    let head = {
        let mut read = bench.desk.apim.read().await.unwrap();
        storage::apim::grants::head(&mut read).await.unwrap()
    };
    let ask = async |applied| {
        let credential = Credential {
            tenant: SUPER_TENANT.to_owned(),
            secret: bearer(&token),
        };
        let asked = bench.km.validate_many(applied, vec![credential]);
        asked.await.unwrap()
    };
    let Validated::Verdicts(verdicts) = ask(head).await else {
        panic!("it sees what was asked for");
    };
    assert!(
        matches!(verdicts[..], [Verdict::Granted(_)]),
        "{verdicts:?}"
    );
    assert_eq!(ask(head + 1).await, Validated::Behind { at: head });
}
