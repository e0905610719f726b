//! Who admits others to a cluster over TLS, to whom a newcomer shows its token, and for which roles one
//! is good.

use std::path::Path;
use std::process::Output;

use cluster::{Authority, Clock, Credentials, JoinToken, NewKey};

use crate::cluster::{CONTROL, members, options, set};
use crate::cluster_tls::{founder, joining, over_tls, refused, token};
use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::postgres;

/// All nodes have one.
const ISSUER: &str = "https://keys.example/oauth2/token";

fn asked(node: &Node, roles: &str) -> Output {
    let mut command = node.command(&["cluster", "token", "--roles", roles]);
    command.output().expect("it runs")
}

/// What a member prints for nodes of these roles.
fn token_for(node: &Node, roles: &str) -> String {
    let output = asked(node, roles);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim().to_owned()
}

fn holds_authority(node: &Node) -> bool {
    node.dir.join("data/cluster/authority.pem").exists()
}

fn credentials(dir: &Path) -> Credentials {
    let pem = std::fs::read_to_string(dir.join("data/cluster/node.pem")).expect("credentials");
    Credentials::from_pem(&pem).expect("credentials")
}

#[tokio::test]
async fn a_second_control_plane_joins_by_a_token_for_its_roles_and_admits_others() {
    let Some(server) = postgres::server() else {
        return;
    };
    let databases = ["apim", "shared"]
        .map(|name| postgres::fresh_database(&server, &format!("admission_{name}")));
    let on_postgres = |mut options: Options| {
        let [apim, shared] = &databases;
        set(&mut options, "HEADGATE__DATABASE__APIM__URL", apim);
        set(&mut options, "HEADGATE__DATABASE__SHARED__URL", shared);
        set(&mut options, "HEADGATE__OAUTH2__ISSUER", ISSUER);
        options
    };
    let one = Node::start_with(on_postgres(over_tls("cp1", CONTROL, ""))).await;
    let narrow = token_for(&one, "gateway,traffic-manager");
    let dir = tempfile::tempdir().expect("a directory");
    let other = on_postgres(joining("cp2", CONTROL, &narrow));
    let told = refused(other, dir.path()).await;
    let reason = "the token is for nodes with these roles alone: gateway,traffic-manager";
    assert!(told.contains(reason), "{told}");
    assert!(!dir.path().join("data/cluster").join("node.pem").exists());
    let wide = on_postgres(joining("cp2", CONTROL, &token(&one)));
    let mut two = Node::start_with(wide).await;
    assert!(holds_authority(&two), "it admits others from now on");
    assert!(credentials(&two.dir).admits());
    // As if its first start had been cut off before it had a certificate: it needs no token again,
    // and knows whom to meet.
    two.kill();
    std::fs::remove_file(two.dir.join("data/cluster/node.pem")).expect("removed");
    let again = on_postgres(options("cp2", CONTROL, ""));
    let two = two.crash_and_restart(again).await;
    assert!(credentials(&two.dir).admits());
    // Nobody's roles used it up.
    let traffic = Node::start_with(joining("tm1", "traffic-manager", &narrow)).await;
    assert!(!holds_authority(&traffic));
    assert!(!credentials(&traffic.dir).admits());
    let mut gateway = joining("gw1", "gateway", &token(&two));
    set(&mut gateway, "HEADGATE__OAUTH2__ISSUER", ISSUER);
    let gateway = Node::start_with(gateway).await;
    for node in [&one, &two, &traffic, &gateway] {
        eventually(20, "all have met", || async {
            let members = members(node).await;
            let up = members.iter().filter(|(_, health)| health == "up");
            (up.count() == 4).then_some(())
        })
        .await;
    }
    let wrong = asked(&one, "gateway,door-keeper");
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[tokio::test]
async fn a_newcomer_shows_its_token_to_nobody_but_a_node_that_holds_the_authority() {
    let control = founder("cp1").await;
    let joined = joining("tm1", "traffic-manager", &token(&control));
    let traffic = Node::start_with(joined).await;
    // A holder of the authority whose certificate is of a former build signs itself another.
    let files = control.dir.join("data/cluster");
    let authority = std::fs::read_to_string(files.join("authority.pem")).expect("a file");
    let authority = Authority::from_pem(&authority).expect("an authority");
    let of_now = credentials(&control.dir);
    assert!(of_now.admits());
    let key = NewKey::generate().expect("a key");
    let request = key.request().expect("a request");
    let now_ms = Clock::system().now_ms();
    let former = authority.sign(&request, (of_now.node(), false), now_ms);
    let former = key.with(&former.expect("signed"), authority.certificate());
    let former = former.expect("a pair");
    assert!(!former.admits());
    std::fs::write(files.join("node.pem"), former.to_pem()).expect("written");
    let again = over_tls("cp1", CONTROL, "");
    let control = control.crash_and_restart(again).await;
    assert!(credentials(&control.dir).admits());
    // Any other member's certificate is of the same authority, and that is not enough.
    let good = token(&control);
    let mut astray: JoinToken = good.parse().expect("a token");
    astray.address = traffic.cluster_address();
    let dir = tempfile::tempdir().expect("a directory");
    let told = refused(joining("gw1", "gateway", &astray.to_text()), dir.path()).await;
    let reason = "does not hold the authority of the cluster, so the token was not shown to it";
    assert!(told.contains(reason), "{told}");
    drop(Node::start_with(joining("tm2", "traffic-manager", &good)).await);
    // One that is admitted, and that the cluster will not have, makes no administrator.
    let dir = tempfile::tempdir().expect("a directory");
    let alone = joining("cp2", CONTROL, &token(&control));
    let told = refused(alone, dir.path()).await;
    assert!(told.contains("cp1 has another API-M database"), "{told}");
    assert!(!dir.path().join("data/admin-password").exists());
}

#[tokio::test]
async fn a_start_with_a_broken_certificate_of_its_cluster_names_the_file_and_what_to_do_which_helps()
 {
    let control = founder("cp1").await;
    let joins = joining("tm1", "traffic-manager", &token(&control));
    let mut traffic = Node::start_with(joins).await;
    traffic.kill();
    let file = traffic.dir.join("data/cluster/node.pem");
    let whole = std::fs::read(&file).expect("a file");
    for broken in [
        &whole[..whole.len() / 3],
        b"no certificate",
        b"\xff\xfe",
        b"",
    ] {
        std::fs::write(&file, broken).expect("written");
        let told = refused(options("tm1", "traffic-manager", ""), &traffic.dir).await;
        assert!(told.contains("cluster/node.pem"), "{told}");
        assert!(told.contains("start it with --join TOKEN"), "{told}");
        assert_eq!(std::fs::read(&file).expect("a file"), broken);
    }
    std::fs::write(&file, b"\xff\xfe").expect("written");
    let joins = joining("tm1", "traffic-manager", &token(&control));
    let traffic = traffic.crash_and_restart(joins).await;
    eventually(10, "they meet", || async {
        (members(&traffic).await.len() == 2).then_some(())
    })
    .await;
}
