//! The pages for a browser: who sees them, and how somebody signs in and out.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Answer, Call};
use crate::support::node::Node;

const PAGES: [&str; 3] = ["/admin/", "/admin/ui/actors", "/admin/ui/shards"];
const SIGN_IN: &str = "/admin/sign-in";

/// What a browser would send back of an answer's cookies.
fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter();
    let pairs = set.filter_map(|set| set.to_str().ok()?.split(';').next());
    let pairs: Vec<&str> = pairs.filter(|pair| !pair.ends_with('=')).collect();
    pairs.join("; ")
}

/// What a form of the page repeats.
fn mark(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text
        .split_once("name=\"form\" value=\"")
        .expect("a form with its mark");
    rest.split('"').next().expect("its end").to_owned()
}

/// A filled form, as the sign-in page of this node would send it.
async fn filled(node: &Node, user: &str, password: &str) -> Call {
    let page = node.get(SIGN_IN).send().await.expect(200);
    let form = [
        ("form", mark(&page)),
        ("username", user.to_owned()),
        ("password", password.to_owned()),
    ];
    let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let call = node.post(SIGN_IN).header("cookie", &cookies(&page));
    call.header("sec-fetch-site", "same-origin").form(&form)
}

async fn signed_in(node: &Node) -> String {
    let answer = filled(node, "admin", &node.admin_password).await;
    let answer = answer.send().await.expect(303);
    assert_eq!(answer.header("location"), "/admin/");
    cookies(&answer)
}

async fn status(node: &Node, path: &str, cookie: &str) -> (u16, String) {
    let answer = node.get(path).header("cookie", cookie).send().await;
    let place = answer.header("location").to_owned();
    (answer.status.as_u16(), place)
}

/// The last entry of the change log.
async fn entries(node: &Node) -> u64 {
    let log = node.get("/admin/changes").bearer(&node.operator()).send();
    let log = log.await.expect(200).json();
    log["head"].as_u64().expect("a number")
}

/// Outcomes of lines of the audit log that say this.
fn audited(node: &Node, what: &str) -> Vec<String> {
    words(node, what, "outcome")
}

/// What such lines have in this field.
fn words(node: &Node, what: &str, field: &str) -> Vec<String> {
    let log = node.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines = lines.filter(|line: &Value| line["target"] == "audit" && line["message"] == what);
    lines
        .map(|line| line[field].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn nobody_sees_a_page_who_has_not_signed_in_and_every_answer_is_dressed() {
    let node = Node::start().await;
    let cookie = signed_in(&node).await;
    let (name, value) = cookie.split_once('=').expect("a cookie");
    assert!(name.starts_with("__Secure-headgate-"), "{name}");
    let forged = [
        String::new(),
        format!("{name}="),
        format!("{name}={}", "0".repeat(value.len())),
        format!("{name}={}", value.to_uppercase() + "0"),
        format!("{name}-form={value}"),
    ];
    for path in PAGES {
        for cookie in &forged {
            let seen = status(&node, path, cookie).await;
            assert_eq!(seen, (303, SIGN_IN.to_owned()), "{path} {cookie}");
        }
    }
    for path in PAGES.repeat(2) {
        assert_eq!(status(&node, path, &cookie).await.0, 200, "{path}");
    }
    for (path, expected) in [
        ("/admin/", 200),
        (SIGN_IN, 303),
        ("/admin/ui/console.js", 200),
        ("/admin/ui/console.css", 200),
        ("/admin/ui/nothing", 404),
        ("/admin/sign-out", 405),
    ] {
        let answer = node.get(path).header("cookie", &cookie).send().await;
        assert_eq!(answer.status.as_u16(), expected, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {path}");
        }
        if !path.contains("console.") && expected != 303 {
            assert!(answer.header("content-type").starts_with("text/html"));
            assert!(answer.text().contains("<main id=\"content\""), "{path}");
        }
    }
    for (method, path, allowed) in [
        ("POST", "/admin/", "GET,HEAD"),
        ("DELETE", SIGN_IN, "GET,HEAD,POST"),
        ("GET", "/admin/sign-out", "POST"),
    ] {
        let refused = node.call(method, path).send().await.expect(405);
        assert_eq!(refused.header("allow"), allowed, "{path}");
    }
    // The JSON beside them takes a bearer token, and no cookie.
    let json = node.get("/admin/cluster").header("cookie", &cookie).send();
    assert_eq!(json.await.status, StatusCode::UNAUTHORIZED);
    // Each page is a line of the audit log once a minute, whoever else was sent away.
    let looks = "somebody looks at the cluster";
    assert_eq!(words(&node, looks, "at"), PAGES);
    assert_eq!(words(&node, looks, "user"), ["admin"; 3]);
    assert_eq!(words(&node, looks, "address"), ["127.0.0.1"; 3]);
}

/// What comes of it when somebody signs in with this.
async fn tried(node: &Node, user: &str, password: &str) -> (u16, String) {
    let answer = filled(node, user, password).await.send().await;
    (answer.status.as_u16(), answer.text())
}

#[tokio::test]
async fn signing_in_takes_an_administrators_password_which_nothing_shows() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let person = json!({
        "userName": "ann", "password": "Ann-keeps-this-1", "roles": ["Internal/creator"],
        "name": {"givenName": "Given", "familyName": "Family"}, "emails": ["ann@example.com"],
    });
    let made = node.post("/scim2/Users").bearer(&token).json(&person);
    made.send().await.expect(201);
    let before = entries(&node).await;
    for (user, password, code, said) in [
        ("ann", "Ann-keeps-this-1", 403, "need an administrator"),
        ("admin", "not-the-password", 403, "is wrong, or there were"),
        ("nobody", "not-the-password", 403, "is wrong, or there were"),
        ("admin", "", 400, "Enter both"),
    ] {
        let (status, page) = tried(&node, user, password).await;
        assert_eq!(status, code, "{user}");
        assert!(
            page.contains("role=\"alert\"") && page.contains(said),
            "{page}"
        );
        assert!(!page.contains(password) || password.is_empty());
    }
    assert_eq!(
        entries(&node).await,
        before,
        "nothing is registered for them"
    );
    let good = filled(&node, "admin", &node.admin_password).await;
    let answer = good.send().await.expect(303);
    let set = answer.header("set-cookie").to_owned();
    let words = [
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
        "Path=/admin",
        "Max-Age=3600",
    ];
    for word in words {
        assert!(set.split("; ").any(|part| part == word), "{word} in {set}");
    }
    let told = eventually(10, "each attempt is audited", || async {
        let told = audited(&node, "somebody signs in to the pages");
        (told.len() == 4).then_some(told)
    })
    .await;
    assert!(told[0].starts_with("refused: no administrator"), "{told:?}");
    assert!(
        told[1].starts_with("refused: wrong") && told[2] == told[1],
        "{told:?}"
    );
    assert_eq!(told[3], "done");
    let (log, cookie) = (node.log(), cookies(&answer));
    let (_, value) = cookie.split_once('=').expect("a cookie");
    for secret in [value, "not-the-password", "Ann-keeps-this-1"] {
        assert!(!log.contains(secret), "{secret}");
    }
    // The first start has said it, and nothing since.
    assert_eq!(log.matches(&node.admin_password).count(), 1);
}

#[tokio::test]
async fn several_may_sign_in_at_once_and_signing_in_again_ends_the_session_before() {
    let node = Node::start().await;
    let forms = [(); 4].map(|()| filled(&node, "admin", &node.admin_password));
    let [a, b, c, d] = forms;
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let (a, b, c, d) = tokio::join!(a.send(), b.send(), c.send(), d.send());
    let sessions = [a, b, c, d].map(|answer| cookies(&answer.expect(303)));
    for cookie in &sessions {
        assert_eq!(status(&node, "/admin/", cookie).await.0, 200);
    }
    // Each of them may still revoke its token, whoever signed in since.
    for cookie in &sessions[..2] {
        let page = node.get("/admin/").header("cookie", cookie).send().await;
        let left = leave(&node, cookie, &mark(&page)).await;
        assert_eq!(left.status, StatusCode::SEE_OTHER, "{}", left.text());
    }
    let (old, kept) = (&sessions[2], &sessions[3]);
    let page = node.get(SIGN_IN).send().await.expect(200);
    let form = [
        ("form", mark(&page)),
        ("username", "admin".to_owned()),
        ("password", node.admin_password.clone()),
    ];
    let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let both = format!("{old}; {}", cookies(&page));
    let again = node.post(SIGN_IN).header("cookie", &both).form(&form);
    let new = cookies(&again.send().await.expect(303));
    assert_eq!(status(&node, "/admin/", old).await.0, 303);
    for cookie in [kept, &new] {
        assert_eq!(status(&node, "/admin/", cookie).await.0, 200);
    }
    let told = audited(&node, "somebody signs out of the pages");
    assert_eq!(told, ["done"; 3]);
}

async fn leave(node: &Node, cookie: &str, mark: &str) -> Answer {
    let call = node.post("/admin/sign-out").header("cookie", cookie);
    let call = call.header("sec-fetch-site", "same-origin");
    call.form(&[("form", mark)]).send().await
}

#[tokio::test]
async fn whoever_guesses_at_the_form_has_to_wait_as_anywhere() {
    let node = Node::start().await;
    // A busy machine may be slower than the first pauses last; far fewer guesses than any account has.
    let mut was_held = false;
    for _ in 0..5 {
        for _ in 0..6 {
            assert_eq!(tried(&node, "admin", "a-guess").await.0, 403);
        }
        was_held |= tried(&node, "admin", &node.admin_password).await.0 == 403;
    }
    assert!(was_held, "the right password was never held up");
}

#[tokio::test]
async fn a_form_of_sign_in_is_taken_from_our_page_alone() {
    let node = Node::start().await;
    let page = node.get(SIGN_IN).send().await;
    let (own, repeated) = (cookies(&page), mark(&page));
    let sent = async |cookie: &str, mark: &str, site: &str| {
        let form = [
            ("form", mark),
            ("username", "admin"),
            ("password", &node.admin_password),
        ];
        let call = node.post(SIGN_IN).header("cookie", cookie);
        let call = call.header("sec-fetch-site", site).form(&form);
        call.send().await.status.as_u16()
    };
    assert_eq!(sent(&own, &repeated, "cross-site").await, 403);
    assert_eq!(sent(&own, &"0".repeat(64), "same-origin").await, 403);
    assert_eq!(sent("", &repeated, "same-origin").await, 403);
    assert_eq!(sent(&own, &repeated, "same-origin").await, 303);
}

#[tokio::test]
async fn a_session_ends_by_sign_out_and_with_the_access_of_its_person() {
    let node = Node::start().await;
    let (one, other) = (signed_in(&node).await, signed_in(&node).await);
    let page = node.get("/admin/").header("cookie", &one).send().await;
    let forged = leave(&node, &one, "made-up").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert_eq!(status(&node, "/admin/", &one).await.0, 200);
    let before = entries(&node).await;
    let left = leave(&node, &one, &mark(&page)).await.expect(303);
    // A key manager also agrees to revoke what is not its client's, and then writes nothing.
    assert_eq!(entries(&node).await, before + 1, "its token is revoked");
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(status(&node, "/admin/", &one).await.0, 303);
    assert_eq!(status(&node, "/admin/", &other).await.0, 200);
    let told = audited(&node, "somebody signs out of the pages");
    assert_eq!(told, ["done"]);
    let from = words(&node, "somebody signs out of the pages", "address");
    assert_eq!(from, ["127.0.0.1"]);
    let changed = node.command(&["user", "password", "admin"]).output();
    assert!(changed.expect("the binary").status.success());
    assert_eq!(status(&node, "/admin/", &other).await.0, 303);
}
