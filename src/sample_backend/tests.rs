//! The weather service over a real socket, and its description against its routes.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::client::{Answer, Call, Client};

struct Running {
    base: String,
    client: Client,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    async fn start() -> Self {
        let backend = SampleBackend::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let base = format!("http://{}", backend.address());
        let stop = CancellationToken::new();
        cluster::spawn_named(
            "sample backend",
            backend.serve(Clock::system(), stop.clone()),
        );
        Self {
            base,
            client: Client::plain(),
            stop,
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let call = Call::new(method, format!("{}{path}", self.base));
        let call = match body {
            Some(body) => call.json(&body),
            None => call,
        };
        self.client.send(&call).await.unwrap()
    }
}

#[tokio::test]
async fn a_station_lives_from_its_creation_to_its_removal() {
    let running = Running::start().await;
    let facts = json!({"name": "Ridge", "region": "mountains", "elevation": 900});
    let added = running.send("POST", "/stations", Some(facts.clone())).await;
    assert_eq!(added.status, 201);
    let path = format!("/stations/{}", added.json().unwrap()["id"]);
    assert_eq!(
        running.send("POST", "/stations", Some(facts)).await.status,
        409
    );
    let renamed = json!({"name": "High ridge", "region": "mountains"});
    let changed = running.send("PUT", &path, Some(renamed)).await;
    assert_eq!(changed.json().unwrap()["name"], "High ridge");
    assert_eq!(
        running
            .send("GET", &format!("{path}/readings/latest"), None)
            .await
            .status,
        404
    );
    let reading = json!({"temperature": -2.5, "wind": 7.0});
    let sent = running
        .send("POST", &format!("{path}/readings"), Some(reading))
        .await;
    assert_eq!(sent.status, 201);
    let latest = running
        .send("GET", &format!("{path}/readings/latest"), None)
        .await;
    assert_eq!(latest.json().unwrap()["temperature"], -2.5);
    let of_region = running
        .send("GET", "/stations?region=mountains&limit=1", None)
        .await;
    assert_eq!(of_region.json().unwrap().as_array().unwrap().len(), 1);
    assert_eq!(running.send("DELETE", &path, None).await.status, 204);
    assert_eq!(running.send("GET", &path, None).await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let running = Running::start().await;
    let cold = running
        .send(
            "POST",
            "/stations/1/readings",
            Some(json!({"temperature": -300})),
        )
        .await;
    assert_eq!(cold.status, 400);
    assert!(
        cold.json().unwrap()["problem"]
            .as_str()
            .unwrap()
            .contains("temperature")
    );
    let unnamed = running
        .send("POST", "/stations", Some(json!({"region": "coast"})))
        .await;
    assert_eq!(unnamed.status, 400);
    assert_eq!(
        running
            .send("GET", "/stations?limit=many", None)
            .await
            .status,
        400
    );
    assert_eq!(
        running.send("GET", "/stations/none", None).await.status,
        404
    );
}

#[tokio::test]
async fn the_ticker_streams_and_the_echo_tells_what_arrived() {
    let running = Running::start().await;
    let started = Clock::system().monotonic();
    let ticks = running
        .send("GET", "/ticker?count=3&intervalMs=30", None)
        .await;
    assert_eq!(ticks.text().lines().count(), 3);
    assert!(Clock::system().monotonic() - started >= Duration::from_millis(60));
    let echo = running.send("GET", "/echo?a=b", None).await.json().unwrap();
    assert_eq!(
        (&echo["path"], &echo["query"]),
        (&json!("/echo"), &json!("a=b"))
    );
    let body = running.send("POST", "/echo", Some(json!([1, 2]))).await;
    assert_eq!(body.text(), "[1,2]");
}

#[tokio::test]
async fn every_described_operation_exists_and_the_description_is_served() {
    let running = Running::start().await;
    let served = running.send("GET", "/openapi.yaml", None).await;
    assert_eq!(served.text(), DESCRIPTION);
    let description = domain::openapi::read(DESCRIPTION.as_bytes(), &Default::default()).unwrap();
    assert!(description.operations.len() >= 10);
    for operation in &description.operations {
        let path = operation.target.replace("{stationId}", "1");
        let answer = running.send(operation.verb.as_str(), &path, None).await;
        assert_ne!(answer.status, 405, "{} {path}", operation.verb.as_str());
        assert!(
            answer.status != 404 || path.starts_with("/stations/1"),
            "{} {path}",
            operation.verb.as_str()
        );
    }
}
