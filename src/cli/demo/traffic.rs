//! Calls through the gateway until the plan refuses one.

use std::time::Duration;

use anyhow::{Context as _, bail};

use super::journey::Journey;
use super::{api, application};
use crate::client::{Answer, Call};

/// More calls than any two windows of the plan allow: a plan that never refuses is a fault.
const MOST: u64 = application::CALLS * 3;
/// How often a fresh window is waited for.
const ATTEMPTS: u32 = 3;

/// Calls the API until it answers 429. A window that an earlier run used is waited out.
pub(super) async fn call_until_refused(
    journey: &mut Journey<'_>,
    token: &str,
) -> anyhow::Result<()> {
    journey
        .console
        .step("call the API through the gateway until its plan refuses");
    let url = journey.gateway(&format!("{}/stations?region=coast", api::base()));
    let call = Call::new("GET", url).bearer(token, "CALL_TOKEN");
    journey.console.command(&journey.client.curl(&call));
    for _ in 0..ATTEMPTS {
        let (passed, refusal) = exhaust(journey, &call).await?;
        if passed >= application::CALLS {
            let (reason, seconds) = (refusal.reason(), retry_after(&refusal)?);
            let told = format!("{reason}: the plan has room again in {seconds} s");
            journey.console.say(&told);
            return Ok(());
        }
        let seconds = retry_after(&refusal)?;
        journey.console.say(&format!(
            "this minute holds calls from before: waiting {seconds} s for a fresh window"
        ));
        wait(journey, seconds).await;
    }
    bail!("no window let {} calls pass", application::CALLS)
}

/// Calls until refused; how many calls passed, and the refusal.
async fn exhaust(journey: &Journey<'_>, call: &Call) -> anyhow::Result<(u64, Answer)> {
    let mut passed = 0;
    while passed < MOST {
        let answer = journey.client.send(call).await?;
        match answer.status {
            200 => {
                passed += 1;
                journey.console.say(&format!("call {passed}: 200"));
            }
            429 => {
                journey.console.say(&format!("call {}: 429", passed + 1));
                return Ok((passed, answer));
            }
            status => bail!("the gateway answered {status}: {}", answer.reason()),
        }
    }
    bail!(
        "{passed} calls passed a plan of {} a minute",
        application::CALLS
    )
}

async fn wait(journey: &Journey<'_>, seconds: u64) {
    // One second more, so that the window is over by any clock.
    for left in (0..=seconds).rev() {
        journey
            .console
            .wait(format!("a fresh window begins in {left} s"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn retry_after(refusal: &Answer) -> anyhow::Result<u64> {
    let value = refusal.headers.get("retry-after");
    let seconds = value.and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.context("the refusal came without Retry-After")
}
