//! A token is revoked on a control plane with a traffic manager and a gateway on nodes of their own: the
//! answer, which leaves when both have applied it, within 50 ms in 99 of 100 cases.

#[path = "../src/client.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "this uses a part of the command line's client"
)]
mod client;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod node;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use client::{Answer, Call, Client};
use cluster::Clock;
use measure::verdict;
use node::Node;

/// Revocations that count.
const REVOCATIONS: usize = 500;
/// And those before them, which do not.
const WARM_UP: usize = 20;
const P99_MS: f64 = 50.0;
/// Everybody follows by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the control plane's.
struct Revoker {
    client: Client,
    address: String,
    credential: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let data = tempfile::tempdir()?;
    let control = "publisher,devportal,admin,key-manager";
    let control = start(data.path(), "control", control, "").await?;
    let seed = control.address("cluster")?;
    let traffic = start(data.path(), "traffic", "traffic-manager", &seed).await?;
    let gateway = start(data.path(), "gateway", "gateway", &seed).await?;
    let revoker = Revoker::register(&control).await?;
    revoker.until_both_follow().await?;
    let clock = Clock::system();
    let mut times = Vec::with_capacity(REVOCATIONS);
    for number in 0..WARM_UP + REVOCATIONS {
        let token = revoker.token().await?;
        let began = clock.monotonic();
        let applied = revoker.revoke(&token).await?;
        let took = (clock.monotonic() - began).as_secs_f64() * 1e3;
        ensure!(applied == "2/2", "not a healthy cluster: {applied}");
        if number >= WARM_UP {
            times.push(took);
        }
    }
    for node in [gateway, traffic, control] {
        node.stop()?;
    }
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied();
    let (half, most) = (at(50).context("no times")?, at(99).context("no times")?);
    println!("a revocation to its answer, half of them: {half:.2} ms");
    Ok(verdict(
        "a revocation to its answer, 99 of 100",
        most,
        P99_MS,
        "ms",
    ))
}

async fn start(data: &Path, name: &str, roles: &str, seeds: &str) -> anyhow::Result<Node> {
    let settings = [
        ("HEADGATE__NODE__NAME", name),
        ("HEADGATE__NODE__ROLES", roles),
        ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0"),
        ("HEADGATE__CLUSTER__SEEDS", seeds),
    ];
    let data = data.join(name);
    Node::start_with(&data, &settings).await
}

// === impl Revoker ===

impl Revoker {
    async fn register(control: &Node) -> anyhow::Result<Self> {
        let client = Client::plain();
        let address = control.address("management_http")?;
        let password = control.password()?;
        let body = json!({
            "clientName": "bench", "owner": "admin", "grantType": "client_credentials",
            "callbackUrl": "", "saasApp": true,
        });
        let path = "/client-registration/v0.17/register";
        let call = Call::new("POST", format!("http://{address}{path}"))
            .basic(&format!("admin:{password}"), "ADMIN")
            .json(&body);
        let made = client.send(&call).await?.success("no client was made")?;
        let (id, secret) = (text(&made, "clientId")?, text(&made, "clientSecret")?);
        Ok(Self {
            client,
            address,
            credential: format!("{id}:{secret}"),
        })
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let form: Vec<_> = form.iter().map(|(key, text)| (*key, *text, None)).collect();
        let call = Call::new("POST", format!("http://{}{path}", self.address))
            .basic(&self.credential, "CLIENT")
            .form(&form);
        self.client.send(&call).await
    }

    async fn token(&self) -> anyhow::Result<String> {
        let form = [("grant_type", "client_credentials")];
        let answer = self.post("/oauth2/token", &form).await?;
        text(&answer.success("no token was made")?, "access_token")
    }

    /// Gives who has applied it.
    async fn revoke(&self, token: &str) -> anyhow::Result<String> {
        let answer = self.post("/oauth2/revoke", &[("token", token)]).await?;
        ensure!(answer.status == 200, "refused: {}", answer.status);
        let applied = answer.headers.get("headgate-applied");
        let applied = applied.context("the answer does not say who has applied it")?;
        Ok(applied.to_str()?.to_owned())
    }

    async fn until_both_follow(&self) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                if self.revoke(&self.token().await?).await? == "2/2" {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await?
    }
}

fn text(value: &Value, member: &str) -> anyhow::Result<String> {
    let found = value.get(member).and_then(Value::as_str);
    let found = found.with_context(|| format!("an answer came without {member}"))?;
    Ok(found.to_owned())
}
