//! The pages for a browser as a person sees them, in headless Chromium.

use serde_json::{Value, json};

use crate::cluster::Trio;
use crate::support::browser::{Browser, ENTER, TAB};
use crate::support::eventually;
use crate::support::node::Node;

/// Within how many seconds a page that is open shows a node that hangs: two until it is fetched anew, one until the
/// answer goes on without that node, and what a busy machine takes.
const HANGS: u64 = 5;

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
        let ring = "(({outlineStyle, outlineWidth}) => outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2)(getComputedStyle(document.activeElement))";
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

/// What the node answers is told, and who may see nothing any more is sent to where that is said.
async fn a_stale_page_says_why(browser: &Browser) {
    let answers = |status: u16| {
        format!(
            "(window.fetch = async () => new Response('', {{status: {status}}}), window.since = 'before', 1)"
        )
    };
    browser.read(&answers(503)).await;
    browser
        .until_shows("#stale", "answers with status 503")
        .await;
    browser
        .read("(window.fetch = async () => { throw new Error('gone'); }, 1)")
        .await;
    browser.until_shows("#stale", "does not answer").await;
    browser.read(&answers(403)).await;
    eventually(20, "the page is loaded anew", || async {
        let gone = browser.read("window.since === undefined && document.readyState === 'complete'");
        (gone.await == true).then_some(())
    })
    .await;
}

/// Browsers keep the cookies back at first when a link of another site is followed.
async fn a_link_from_elsewhere_leads_in(browser: &Browser, node: &Node) {
    let link = format!(
        "data:text/html,<a href=\"{}/admin/\">in</a>",
        node.management
    );
    browser.go(&link).await;
    browser.click("a").await;
    browser.until_shows("h1", "Overview").await;
    browser.until_shows("#news", "2 up").await;
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
    browser.shows_within(HANGS, "#owners", "no answer").await;
    browser
        .shows_within(HANGS, "#news", "tm1 does not answer")
        .await;
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
    a_stale_page_says_why(&browser).await;
    a_link_from_elsewhere_leads_in(&browser, &trio.control).await;
    pictures(&browser, "overview-with-a-node-down").await;
    browser.click("form button").await;
    browser.until_shows("h1", "Sign in").await;
    browser.keep_picture("sign-in").await;
}
