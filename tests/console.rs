//! The pages for a browser: who sees them, and what a person sees, in headless Chromium.

use http::StatusCode;
use serde_json::{Value, json};

use crate::cluster::Trio;
use crate::support::browser::{Browser, ENTER, TAB};
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

/// Outcomes of lines of the audit log that say this.
fn audited(node: &Node, what: &str) -> Vec<String> {
    let log = node.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines = lines.filter(|line: &Value| line["target"] == "audit" && line["message"] == what);
    lines
        .map(|line| line["outcome"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn nobody_sees_a_page_who_has_not_signed_in_and_every_answer_is_dressed() {
    let node = Node::start().await;
    for path in PAGES {
        for cookie in ["", "__Secure-headgate-000000000000=made-up"] {
            let seen = status(&node, path, cookie).await;
            assert_eq!(seen, (303, SIGN_IN.to_owned()), "{path} {cookie}");
        }
    }
    let cookie = signed_in(&node).await;
    for path in PAGES {
        assert_eq!(status(&node, path, &cookie).await.0, 200, "{path}");
    }
    for (path, expected) in [
        ("/admin/", 200),
        (SIGN_IN, 200),
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
        if !path.contains("console.") {
            assert!(answer.header("content-type").starts_with("text/html"));
            assert!(answer.text().contains("<main id=\"content\""), "{path}");
        }
    }
    // The JSON beside them takes a bearer token, and no cookie.
    let json = node.get("/admin/cluster").header("cookie", &cookie).send();
    assert_eq!(json.await.status, StatusCode::UNAUTHORIZED);
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
    let leave = |mark: &str| {
        let call = node.post("/admin/sign-out").header("cookie", &one);
        call.header("sec-fetch-site", "same-origin")
            .form(&[("form", mark)])
    };
    let forged = leave("made-up").send().await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert_eq!(status(&node, "/admin/", &one).await.0, 200);
    let left = leave(&mark(&page)).send().await.expect(303);
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(status(&node, "/admin/", &one).await.0, 303);
    assert_eq!(status(&node, "/admin/", &other).await.0, 200);
    let told = audited(&node, "somebody signs out of the pages");
    assert_eq!(told, ["done"]);
    let changed = node.command(&["user", "password", "admin"]).output();
    assert!(changed.expect("the binary").status.success());
    assert_eq!(status(&node, "/admin/", &other).await.0, 303);
}

/// Signs in as a person would, with the keyboard alone.
async fn by_keyboard(browser: &Browser, node: &Node) {
    browser.go(&format!("{}/admin/", node.management)).await;
    browser.until_shows("h1", "Sign in").await;
    assert_eq!(browser.read("document.activeElement.id").await, "username");
    let keys = format!("admin{TAB}{}{ENTER}", node.admin_password);
    browser.press(&keys).await;
    browser.until_shows("h1", "Overview").await;
}

/// What somebody needs who does not see the page, or does not use a mouse.
async fn is_for_everybody(browser: &Browser) {
    for (what, expression) in [
        ("a language", "document.documentElement.lang === 'en'"),
        (
            "one heading of the page",
            "document.querySelectorAll('h1').length === 1",
        ),
        (
            "landmarks",
            "['header', 'nav[aria-label]', 'main'].every((one) => document.querySelectorAll(one).length === 1)",
        ),
        (
            "headed tables",
            "[...document.querySelectorAll('table')].every((one) => one.querySelector('thead th[scope=col]') && [...one.querySelectorAll('tbody tr')].every((row) => row.querySelector('th[scope=row]')))",
        ),
        (
            "named pictures",
            "[...document.querySelectorAll('svg:not([aria-hidden])')].every((one) => one.getAttribute('role') === 'img' && document.getElementById(one.getAttribute('aria-labelledby')).textContent)",
        ),
        (
            "named sections",
            "[...document.querySelectorAll('section')].every((one) => document.getElementById(one.getAttribute('aria-labelledby')))",
        ),
        (
            "polite news",
            "document.getElementById('news').getAttribute('aria-live') === 'polite'",
        ),
        (
            "a mark for where one is",
            "document.querySelectorAll('nav a[aria-current=page]').length === 1",
        ),
        (
            "ids that are there once",
            "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); return new Set(ids).size === ids.length; })()",
        ),
    ] {
        let found = browser.read(expression).await;
        assert_eq!(
            found,
            true,
            "{what} on {}",
            browser.read("location.pathname").await
        );
    }
}

/// The keyboard reaches the content at once, and everything in its order, and shows where it is.
async fn the_keyboard_leads(browser: &Browser) {
    browser.read("document.activeElement.blur()").await;
    browser.press(TAB).await;
    assert_eq!(
        browser.read("document.activeElement.className").await,
        "skip"
    );
    let place = browser.read("document.activeElement.getBoundingClientRect().left >= 0");
    assert_eq!(
        place.await,
        true,
        "the skip link is seen when it has the focus"
    );
    browser.press(ENTER).await;
    assert_eq!(browser.read("location.hash").await, "#content");
    let mut met = Vec::new();
    browser
        .read("(document.querySelector('.skip').focus(), 1)")
        .await;
    for _ in 0..6 {
        browser.press(TAB).await;
        let ring = "parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2";
        assert_eq!(
            browser.read(ring).await,
            true,
            "focus is seen after {met:?}"
        );
        let name = "(document.activeElement.innerText || document.activeElement.getAttribute('aria-labelledby') || '').trim()";
        met.push(
            browser
                .read(name)
                .await
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
    }
    let first: Vec<&str> = met.iter().map(String::as_str).take(5).collect();
    assert_eq!(first, ["Overview", "Actors", "Shards", "Pause", "Sign out"]);
    assert!(
        met[5].starts_with("Node"),
        "the content comes next: {met:?}"
    );
}

/// Light and dark are different, and both are kept.
async fn pictures(browser: &Browser, name: &str) {
    let ground = "getComputedStyle(document.body).backgroundColor";
    let mut grounds = Vec::new();
    for scheme in ["dark", "light"] {
        browser.prefer(scheme).await;
        grounds.push(browser.read(ground).await);
        browser.keep_picture(&format!("{name}-{scheme}")).await;
    }
    assert_eq!(grounds, ["rgb(20, 23, 27)", "rgb(255, 255, 255)"]);
}

async fn go(browser: &Browser, name: &str) {
    let at = match name {
        "Overview" => 1,
        "Actors" => 2,
        _ => 3,
    };
    browser.click(&format!("nav li:nth-child({at}) a")).await;
    browser.until_shows("h1", name).await;
}

/// The nodes with their roles, the change log, and the calls, which arrive on a page that is open.
async fn the_overview_tells(browser: &Browser) {
    let rows = "[...document.querySelectorAll('#nodes tbody tr')].map((one) => one.innerText)";
    let rows = browser.read(rows).await;
    let rows = rows.as_array().expect("rows").iter();
    let rows: Vec<&str> = rows.filter_map(Value::as_str).collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    let roles = [
        ("cp1", "key-manager"),
        ("tm1", "traffic-manager"),
        ("gw1", "gateway"),
    ];
    for (name, role) in roles {
        let row = rows.iter().find(|row| row.starts_with(name));
        let row = row.unwrap_or_else(|| panic!("{name} in {rows:?}"));
        assert!(row.contains("\tup\t") && row.contains(role), "{row}");
    }
    assert_eq!(browser.text("#news").await, "3 nodes: 3 up");
    browser.until_shows("#changes", "gw1").await;
    browser.until_shows("#calls", "no valid credential").await;
    eventually(30, "the calls that were answered have a bar", || async {
        let bars = "document.querySelectorAll('#calls svg.bars rect.answered:not([height=\"0\"])')";
        let bars = browser.read(&format!("{bars}.length")).await;
        (bars.as_u64() >= Some(1)).then_some(())
    })
    .await;
}

/// The tree; what somebody closed stays closed when the page renews itself, and the keyboard stays where it is.
async fn the_actors_stand_in_a_tree(browser: &Browser) {
    browser.until_shows("#tree-gw1", "gateway/validator").await;
    browser
        .until_shows("#tree-tm1", "traffic-manager/shards/15")
        .await;
    is_for_everybody(browser).await;
    pictures(browser, "actors").await;
    browser.click("#sum-gw1").await;
    let before = "(window.before = document.querySelector('#sum-gw1'), 1)";
    browser.read(before).await;
    eventually(20, "the page renews itself", || async {
        let renewed = browser.read("window.before !== document.querySelector('#sum-gw1')");
        (renewed.await == true).then_some(())
    })
    .await;
    let open = "['gw1', 'tm1'].map((one) => document.getElementById('tree-' + one).open)";
    assert_eq!(browser.read(open).await, json!([false, true]));
    assert_eq!(browser.read("document.activeElement.id").await, "sum-gw1");
}

#[tokio::test]
async fn a_person_signs_in_and_sees_the_cluster_and_a_node_that_dies_without_a_reload() {
    let mut trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Many", 1_000).await;
    for _ in 0..3 {
        assert_eq!(trio.call(&access).await, 200);
    }
    assert_eq!(trio.call("not-a-token").await, 401);
    let browser = Browser::open(&trio.control.client).await;
    by_keyboard(&browser, &trio.control).await;
    the_overview_tells(&browser).await;
    is_for_everybody(&browser).await;
    the_keyboard_leads(&browser).await;
    pictures(&browser, "overview").await;

    go(&browser, "Actors").await;
    the_actors_stand_in_a_tree(&browser).await;

    go(&browser, "Shards").await;
    let all = "256 shards: tm1 owns 256";
    browser.until_shows("#news", all).await;
    let squares = browser.read("document.querySelectorAll('#map svg g.o0:not(.silent)').length");
    assert_eq!(squares.await, 256);
    is_for_everybody(&browser).await;
    pictures(&browser, "shards").await;
    trio.traffic.signal("-STOP");
    browser.until_shows("#owners", "no answer").await;
    trio.traffic.signal("-CONT");
    browser.until_shows("#owners", "answers").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    go(&browser, "Overview").await;
    browser.read("(window.since = 'before', 1)").await;
    trio.traffic.kill();
    browser.until_shows("#news", "2 up, tm1 down").await;
    browser.until_shows("#nodes", "down").await;
    let since = browser.read("window.since").await;
    assert_eq!(since, "before", "it was not loaded anew");
    pictures(&browser, "overview-with-a-node-down").await;
    browser.click("form button").await;
    browser.until_shows("h1", "Sign in").await;
    browser.keep_picture("sign-in").await;
}
