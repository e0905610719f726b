//! A cluster's work, calls and revocations, which goes on whatever else happens.

use std::cell::Cell;
use std::time::Duration;

use super::node::Node;
use super::platform::Subscribed;
use super::upstream::Upstream;

/// How long a call may take, whoever attacks: longer than a change waits for whoever has not applied it (`CHANGE_WAIT_MS` of
/// these nodes), so that its answer tells who that is.
const PATIENCE: Duration = Duration::from_secs(8);

/// An API that is called, and who calls it.
pub struct Work {
    upstream: Upstream,
    caller: Subscribed,
}

// === impl Work ===

impl Work {
    /// Has an API deployed and called once, and one revocation done.
    pub async fn begin(control: &Node, gateway: &Node) -> Self {
        let upstream = Upstream::start().await;
        let admin = control.admin_token().await;
        let api = control.published(&admin, "Shop", "/shop", &upstream.url);
        let api = api.await;
        let caller = control.subscribed(&admin, &api, "one", "JWT").await;
        let work = Self { upstream, caller };
        work.goes_on(control, gateway).await;
        work
    }

    /// Calls are served, and what is revoked is refused at once.
    pub async fn goes_on(&self, control: &Node, gateway: &Node) {
        let (key, secret) = (&self.caller.key, &self.caller.secret);
        let served = self.upstream.count();
        for _ in 0..5 {
            assert_eq!(call(gateway, &self.caller.access).await, 200);
        }
        let access = control.client_token(key, secret).await;
        assert_eq!(call(gateway, &access).await, 200);
        let revoke = control.post("/oauth2/revoke").basic(key, secret);
        let revoke = revoke.form(&[("token", &access)]).send();
        let revoked = tokio::time::timeout(PATIENCE, revoke).await;
        let revoked = revoked.expect("an answer in time").expect(200);
        assert_eq!(revoked.header("headgate-applied"), "2/2");
        assert_eq!(call(gateway, &access).await, 401);
        assert!(self.upstream.count() >= served + 6);
    }

    /// Does `attack` at least once, and until the work was done once meanwhile; gives how often. The work goes on for as long.
    pub async fn goes_on_during(
        &self,
        (control, gateway): (&Node, &Node),
        attack: impl AsyncFn(),
    ) -> u64 {
        let (rounds, done, over) = (Cell::new(0), Cell::new(0), Cell::new(false));
        let attacked = async {
            while done.get() == 0 || rounds.get() == 0 {
                attack().await;
                rounds.set(rounds.get() + 1);
            }
            over.set(true);
        };
        let worked = async {
            while !over.get() {
                self.goes_on(control, gateway).await;
                done.set(done.get() + 1);
                // The attack is to have the processors too.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::join!(attacked, worked);
        rounds.get()
    }
}

async fn call(gateway: &Node, access: &str) -> u16 {
    let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    let answer = tokio::time::timeout(PATIENCE, call.send()).await;
    answer.expect("an answer in time").status.into()
}
