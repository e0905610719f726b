//! Bodies that flow when a change ends what their call rests on (S2): they end within moments, at both
//! sides, and nobody else's do.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::eventually;
use crate::support::line::{Line, Pieces, Version, pieces, whole};
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::shop::Shop;
use crate::support::upstream::serve;

/// A stream ends so long after the answer to the change at most.
const SOON: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
const PASSWORD: &str = "Open-sesame-1";

/// What the upstream has noticed.
#[derive(Default)]
pub struct Noticed {
    /// Downloads that were let go.
    freed: AtomicU64,
    /// Uploads that have begun.
    begun: AtomicU64,
    /// Uploads that broke off.
    broken: AtomicU64,
    /// Pieces of uploads, where they are counted.
    pieces: AtomicU64,
}

/// A piece now and then, without end.
struct Trickle(Pin<Box<tokio::time::Sleep>>, Arc<Noticed>);

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.0.as_mut().poll(cx));
        self.0 = Box::pin(tokio::time::sleep(PAUSE));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))))
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        self.1.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// An upstream whose `GET`s never end, and whose `POST`s are answered after their body's end.
pub async fn upstream() -> (String, Arc<Noticed>) {
    let noticed = Arc::new(Noticed::default());
    let shared = Arc::clone(&noticed);
    let url = serve(None, move |request: Request<Incoming>| {
        let noticed = Arc::clone(&shared);
        async move {
            let is_upload = request.method() == Method::POST;
            if is_upload {
                noticed.begun.fetch_add(1, Ordering::Relaxed);
            }
            if is_upload && request.into_body().collect().await.is_err() {
                noticed.broken.fetch_add(1, Ordering::Relaxed);
            }
            let pause = Box::pin(tokio::time::sleep(PAUSE));
            Response::new(Trickle(pause, noticed))
        }
    })
    .await;
    (url, noticed)
}

/// An upstream that answers at once, with nothing, and reads on.
#[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
async fn hasty_upstream() -> (String, Arc<Noticed>) {
    let noticed = Arc::new(Noticed::default());
    let shared = Arc::clone(&noticed);
    let url = serve(None, move |request: Request<Incoming>| {
        let noticed = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let count = match frame {
                    Ok(_) => &noticed.pieces,
                    Err(_) => &noticed.broken,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        async { Response::new(http_body_util::Empty::<Bytes>::new()) }
    })
    .await;
    (url, noticed)
}

fn request(method: &str, path: &str, (name, value): (&str, &str), body: Pieces) -> Request<Pieces> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("http://localhost{path}/1.0.0/items"));
    request.header(name, value).body(body).expect("a request")
}

/// A download that flows.
pub struct Flowing {
    _line: Line,
    body: Incoming,
}

impl Flowing {
    async fn open(shop: &Shop, version: Version, path: &str, credential: (&str, &str)) -> Self {
        Self::at(&shop.address(), version, path, credential).await
    }

    /// At a gateway's `host:port`.
    pub async fn at(address: &str, version: Version, path: &str, credential: (&str, &str)) -> Self {
        let mut line = Line::open(address, version).await;
        let answer = line.send(request("GET", path, credential, whole(""))).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut flowing = Self {
            _line: line,
            body: answer.into_body(),
        };
        flowing.goes_on().await;
        flowing
    }

    /// More of it comes, some of it certainly from after now.
    pub async fn goes_on(&mut self) {
        let until = Instant::now() + PAUSE * 5;
        while Instant::now() < until {
            let piece = self.body.frame().await.expect("it has no end");
            piece.expect("it goes on");
        }
    }

    /// It breaks off, and does not look whole.
    pub async fn breaks_off(&mut self) {
        self.breaks_off_within(SOON).await;
    }

    pub async fn breaks_off_within(&mut self, most: Duration) {
        let broken = async {
            while let Some(frame) = self.body.frame().await {
                if frame.is_err() {
                    return;
                }
            }
            panic!("it looks whole");
        };
        let broken = tokio::time::timeout(most, broken).await;
        broken.expect("it breaks off in time");
    }
}

/// A shop, a stream that nothing concerns, and how many others have ended.
struct Streams {
    shop: Shop,
    noticed: Arc<Noticed>,
    bystander: Flowing,
    ended: u64,
}

impl Streams {
    async fn start() -> Self {
        let (url, noticed) = upstream().await;
        let shop = Shop::before(&url, "").await;
        let access = format!("Bearer {}", shop.subscribed.access);
        let credential = ("authorization", access.as_str());
        let bystander = Flowing::open(&shop, Version::Http1, "/shop", credential).await;
        Self {
            shop,
            noticed,
            bystander,
            ended: 0,
        }
    }

    /// Downloads in both versions of HTTP end once `change` is made, at the upstream as well, and the
    /// bystander's goes on.
    async fn end(&mut self, what: &str, path: &str, credential: (&str, &str), change: Change<'_>) {
        let mut one = Flowing::open(&self.shop, Version::Http1, path, credential).await;
        let mut two = Flowing::open(&self.shop, Version::Http2, path, credential).await;
        let call = self.shop.node.call(change.method, &change.path);
        let call = match change.client {
            Some((key, secret)) => call.basic(key, secret),
            None => call.bearer(&self.shop.token),
        };
        let call = match &change.body {
            Some(Value::String(token)) => call.form(&[("token", token)]),
            Some(body) => call.json(body),
            None => call,
        };
        let answer = call.send().await;
        assert!(answer.status.is_success(), "{what}: {}", answer.text());
        tokio::join!(one.breaks_off(), two.breaks_off());
        self.ended += 2;
        eventually(2, "the upstream is let go", || async {
            let freed = self.noticed.freed.load(Ordering::Relaxed);
            (freed == self.ended).then_some(())
        })
        .await;
        self.bystander.goes_on().await;
    }

    async fn publish(&self, name: &str, path: &str) -> (String, String, String) {
        let (node, token) = (&self.shop.node, &self.shop.token);
        let got = node.get(&format!("{PUBLISHER}/apis/{}", self.shop.api));
        let document = got.bearer(token).send().await.expect(200).json();
        let url = &document["endpointConfig"]["production_endpoints"];
        let api = node.published(token, name, path, text(url, "url")).await;
        let held = node.subscribed(token, &api, name, "OAUTH").await;
        let revisions = format!("{PUBLISHER}/apis/{api}/revisions?query=deployed:true");
        let list = node.get(&revisions).bearer(token).send().await.json();
        let revision = text(&list["list"][0], "id").to_owned();
        (api, revision, format!("Bearer {}", held.access))
    }
}

/// A change: a call of the administrator's, or of a client's with a token to revoke.
#[derive(Default)]
struct Change<'a> {
    method: &'a str,
    path: String,
    client: Option<(&'a str, &'a str)>,
    body: Option<Value>,
}

fn post(path: String) -> Change<'static> {
    let method = "POST";
    Change {
        method,
        path,
        ..Change::default()
    }
}

fn delete(path: String) -> Change<'static> {
    let method = "DELETE";
    Change {
        method,
        path,
        ..Change::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rests_on_a_token_a_subscription_or_an_application_breaks_off_when_that_ends() {
    let mut streams = Streams::start().await;
    let (api, token) = (streams.shop.api.clone(), streams.shop.token.clone());
    for kind in ["JWT", "OAUTH"] {
        let name = format!("revoked {kind}");
        let node = &streams.shop.node;
        let held = node.subscribed(&token, &api, &name, kind).await;
        let access = format!("Bearer {}", held.access);
        let revoke = Change {
            client: Some((held.key.as_str(), held.secret.as_str())),
            body: Some(json!(held.access)),
            ..post("/oauth2/revoke".to_owned())
        };
        let credential = ("authorization", access.as_str());
        streams.end(&name, "/shop", credential, revoke).await;
    }
    let node = &streams.shop.node;
    let held = node.subscribed(&token, &api, "blocked", "JWT").await;
    let access = format!("Bearer {}", held.access);
    let block = post(format!(
        "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={}&blockState=BLOCKED",
        held.subscription
    ));
    let credential = ("authorization", access.as_str());
    streams.end("blocked", "/shop", credential, block).await;
    let node = &streams.shop.node;
    let held = node.subscribed(&token, &api, "removed", "JWT").await;
    let access = format!("Bearer {}", held.access);
    let remove = delete(format!("{DEVPORTAL}/applications/{}", held.application));
    let credential = ("authorization", access.as_str());
    streams.end("removed", "/shop", credential, remove).await;
    let node = &streams.shop.node;
    let held = node.subscribed(&token, &api, "denied", "JWT").await;
    let access = format!("Bearer {}", held.access);
    let deny = Change {
        body: Some(json!({
            "conditionType": "APPLICATION", "conditionValue": "admin:denied",
            "conditionStatus": true,
        })),
        ..post(format!("{ADMIN}/throttling/deny-policies"))
    };
    let credential = ("authorization", access.as_str());
    streams.end("denied", "/shop", credential, deny).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rests_on_a_person_or_an_api_key_breaks_off_when_that_is_gone() {
    let mut streams = Streams::start().await;
    let (api, token) = (streams.shop.api.clone(), streams.shop.token.clone());
    let node = &streams.shop.node;
    let body = json!({
        "userName": "carl", "password": PASSWORD, "roles": [{"value": "Internal/subscriber"}],
        "name": {"givenName": "Given", "familyName": "Family"}, "emails": ["carl@example.com"],
    });
    let made = node.post("/scim2/Users").bearer(&token).json(&body);
    let id = text(&made.send().await.expect(201).json(), "id").to_owned();
    let scopes = "apim:subscribe apim:app_manage apim:sub_manage apim:api_key";
    let own = node.user_token("carl", PASSWORD, scopes).await;
    let held = node.subscribed(&own, &api, "of carl", "JWT").await;
    let access = format!("Bearer {}", held.access);
    let credential = ("authorization", access.as_str());
    let remove = delete(format!("/scim2/Users/{id}"));
    streams.end("carl", "/shop", credential, remove).await;

    streams
        .shop
        .change(|api| api["securityScheme"] = json!(["oauth2", "api_key"]))
        .await;
    // Another revision that still has what it calls ends no stream.
    streams.bystander.goes_on().await;
    let node = &streams.shop.node;
    let application = &streams.shop.subscribed.application;
    let path = format!("{DEVPORTAL}/apis/{api}/api-keys");
    let body = json!({"keyName": "first", "keyType": "PRODUCTION", "additionalProperties": {}});
    let made = node.post(&format!("{path}/generate")).bearer(&token);
    let made = made.json(&body).send().await.expect(200).json();
    let list = node.get(&path).bearer(&token).send().await.json();
    let id = text(&list["list"][0], "keyUUID").to_owned();
    let bound = node.post(&format!("{path}/associate")).bearer(&token);
    let bound = bound.json(&json!({"keyUUID": id, "applicationUUID": application}));
    bound.send().await.expect(200);
    let revoke = Change {
        body: Some(json!({"keyUUID": id})),
        ..post(format!("{path}/revoke"))
    };
    let credential = ("apikey", text(&made, "apikey"));
    streams.end("api key", "/shop", credential, revoke).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_calls_an_api_breaks_off_when_it_is_blocked_undeployed_or_retired() {
    let mut streams = Streams::start().await;
    for (name, path) in [
        ("Blocked", "/one"),
        ("Undeployed", "/two"),
        ("Retired", "/three"),
    ] {
        let (api, revision, access) = streams.publish(name, path).await;
        let action = |word: &str| {
            post(format!(
                "{PUBLISHER}/apis/change-lifecycle?action={word}&apiId={api}"
            ))
        };
        let change = match name {
            "Blocked" => action("Block"),
            "Undeployed" => Change {
                body: Some(json!([{"name": "Default", "vhost": "localhost"}])),
                ..post(format!(
                    "{PUBLISHER}/apis/{api}/undeploy-revision?revisionId={revision}"
                ))
            },
            _ => {
                let (node, token) = (&streams.shop.node, &streams.shop.token);
                node.lifecycle(token, &api, "Deprecate").await;
                action("Retire")
            }
        };
        let credential = ("authorization", access.as_str());
        streams.end(name, path, credential, change).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_rests_on_a_revoked_token_ends_and_is_counted() {
    let (url, noticed) = upstream().await;
    let shop = Shop::before(&url, "").await;
    let (node, token) = (&shop.node, &shop.token);
    for (version, broken) in [(Version::Http1, 1), (Version::Http2, 2)] {
        let name = format!("{version:?}");
        let held = node.subscribed(token, &shop.api, &name, "JWT").await;
        let access = format!("Bearer {}", held.access);
        let mut line = Line::open(&shop.address(), version).await;
        let (sender, body) = pieces();
        let upload = request("POST", "/shop", ("authorization", &access), body);
        let sending = async {
            let piece = || Frame::data(Bytes::from_static(b"piece"));
            for _ in 0..5 {
                sender.send(piece()).await.expect("it is taken");
            }
            eventually(10, "the upstream has begun", || async {
                (noticed.begun.load(Ordering::Relaxed) == broken).then_some(())
            })
            .await;
            let revoke = node.post("/oauth2/revoke").basic(&held.key, &held.secret);
            let revoke = revoke.form(&[("token", &held.access)]);
            revoke.send().await.expect(200);
            // Until the other side takes no more.
            while sender.send(piece()).await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let both = async { tokio::join!(line.send(upload), sending) };
        let both = tokio::time::timeout(SOON * 5, both).await;
        let (answer, ()) = both.expect("it ends in time");
        // What a new call is answered, unless the connection broke before it was read.
        if let Ok(answer) = answer {
            assert_eq!(answer.status(), 401, "{version:?}");
        }
        eventually(5, "the upstream hears of it", || async {
            (noticed.broken.load(Ordering::Relaxed) == broken).then_some(())
        })
        .await;
    }
    eventually(10, "both are counted", || async {
        let usage = node.get("/admin/usage").bearer(&node.operator());
        let usage = usage.send().await.expect(200).json();
        let rows = usage["list"].as_array().expect("a list");
        let forwarded = rows.iter().filter_map(|row| row["forwarded"].as_u64());
        (forwarded.sum::<u64>() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_outlives_its_answer_ends_with_what_it_rests_on() {
    let (url, noticed) = hasty_upstream().await;
    let shop = Shop::before(&url, "").await;
    let (node, token) = (&shop.node, &shop.token);
    for (version, broken) in [(Version::Http1, 1), (Version::Http2, 2)] {
        let name = format!("{version:?}");
        let held = node.subscribed(token, &shop.api, &name, "JWT").await;
        let access = format!("Bearer {}", held.access);
        let mut line = Line::open(&shop.address(), version).await;
        let (sender, body) = pieces();
        let piece = || Frame::data(Bytes::from_static(b"piece"));
        sender.send(piece()).await.expect("room for one");
        let upload = request("POST", "/shop", ("authorization", &access), body);
        let answer = line.send(upload).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{version:?}");
        let rest = answer.into_body().collect().await.expect("a whole answer");
        assert!(rest.to_bytes().is_empty());
        let before = noticed.pieces.load(Ordering::Relaxed);
        eventually(5, "it goes on after its answer", || async {
            sender.send(piece()).await.expect("it is taken");
            (noticed.pieces.load(Ordering::Relaxed) > before + 3).then_some(())
        })
        .await;
        let revoke = node.post("/oauth2/revoke").basic(&held.key, &held.secret);
        let revoke = revoke.form(&[("token", &held.access)]);
        revoke.send().await.expect(200);
        eventually(2, "nothing more gets to the upstream", || async {
            (noticed.broken.load(Ordering::Relaxed) == broken).then_some(())
        })
        .await;
        let ends = async {
            while sender.send(piece()).await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        // Over HTTP/2 a little of what is left is read and dropped first, as after any answer.
        let ended = tokio::time::timeout(SOON * 5, ends).await;
        ended.expect("the caller's side ends as well");
    }
}
