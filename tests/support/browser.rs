//! A browser that a person could sit at: headless Chromium, driven by Debian's `chromedriver` in the words of WebDriver
//! (W3C), which are JSON over HTTP.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

use super::eventually;
use super::http::{Answer, Client};

/// The name under which WebDriver gives an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The tabulator and enter keys.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

/// One window of one browser; ended when dropped.
pub struct Browser {
    client: Client,
    driver: Child,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a window that takes any certificate.
    pub async fn open(client: &Client) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, of the package chromium-driver");
        let port = port(&mut driver);
        let url = format!("http://127.0.0.1:{port}/session");
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,1000",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": args}, "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self {
            client: client.clone(),
            driver,
            session: String::new(),
            profile,
        };
        let answer = client.call("POST", &url).json(&wanted).send().await;
        let answer = answer.expect(200).json();
        let id = answer["value"]["sessionId"].as_str().expect("a session");
        browser.session = format!("{url}/{id}");
        browser
    }

    async fn order(&self, command: &str, body: Value) -> Value {
        self.ask(command, &body).await.expect(200).json()["value"].clone()
    }

    async fn ask(&self, command: &str, body: &Value) -> Answer {
        let url = format!("{}/{command}", self.session);
        self.client.call("POST", &url).json(body).send().await
    }

    /// Goes to an address, and waits until the page is there.
    pub async fn go(&self, url: &str) {
        self.order("url", json!({ "url": url })).await;
    }

    /// What an expression is worth in the page.
    pub async fn read(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        let body = json!({ "script": script, "args": [] });
        self.order("execute/sync", body).await
    }

    /// The text that a person sees of the first element that a selector finds; empty when there is none.
    pub async fn text(&self, selector: &str) -> String {
        let shown = self
            .read(&format!(
                "(document.querySelector({selector:?}) || {{innerText: \"\"}}).innerText"
            ))
            .await;
        shown.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until what a selector finds shows this text.
    pub async fn until_shows(&self, selector: &str, text: &str) {
        self.shows_within(30, selector, text).await;
    }

    /// As [`Self::until_shows`], at most so many seconds.
    pub async fn shows_within(&self, seconds: u64, selector: &str, text: &str) {
        let what = format!("{selector} shows {text}");
        eventually(seconds, &what, || async {
            self.text(selector).await.contains(text).then_some(())
        })
        .await;
    }

    /// Presses keys, whatever has the focus.
    pub async fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let stroke = |kind: &str| json!({ "type": kind, "value": key });
            [stroke("keyDown"), stroke("keyUp")]
        });
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.order("actions", json!({ "actions": [keyboard] }))
            .await;
    }

    /// Clicks on the first element that a selector finds.
    pub async fn click(&self, selector: &str) {
        let wanted = json!({ "using": "css selector", "value": selector });
        let what = format!("{selector} is clicked");
        eventually(30, &what, || async {
            let found = self.order("element", wanted.clone()).await;
            let id = found[ELEMENT].as_str().expect("an element");
            let click = self.ask(&format!("element/{id}/click"), &json!({})).await;
            // A page that is live puts another in its place at any time.
            let is_stale = click.text().contains("stale element reference");
            (!is_stale).then(|| click.expect(200))
        })
        .await;
    }

    /// Has pages believe that a person likes `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let body = json!({
            "cmd": "Emulation.setEmulatedMedia", "params": { "features": [feature] },
        });
        self.order("goog/cdp/execute", body).await;
    }

    /// Keeps the whole page as `target/screenshots/NAME.png`.
    pub async fn keep_picture(&self, name: &str) {
        let body = json!({
            "cmd": "Page.captureScreenshot",
            "params": { "format": "png", "captureBeyondViewport": true },
        });
        let taken = self.order("goog/cdp/execute", body).await;
        let data = taken["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        let folder = folder();
        std::fs::create_dir_all(&folder).expect("a folder");
        let bytes = bytes.expect("base64");
        assert!(bytes.len() > 5_000, "an empty picture");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("a file");
    }

    /// What the browser has complained of in its console since it was asked last.
    pub async fn complaints(&self) -> Vec<String> {
        let said = self.order("se/log", json!({ "type": "browser" })).await;
        let said = said.as_array().expect("a list").iter();
        said.map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // The browser outlives its driver, and is known by its profile.
        let profile = self.profile.path().display().to_string();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&words).contains(&profile) {
                let pid = entry.file_name().to_string_lossy().into_owned();
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        }
    }
}

/// The port that the driver says it has.
fn port(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("its output");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("started successfully on port"));
    let line = line.expect("the driver starts");
    let port = line.trim_end_matches('.').rsplit(' ').next();
    port.and_then(|port| port.parse().ok()).expect("a port")
}

/// Where pictures are kept.
fn folder() -> PathBuf {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    beside.expect("target").join("screenshots")
}
