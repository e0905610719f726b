//! What the port does with those who may not come in.

use super::*;
use crate::member::Member;
use crate::transport::dial;

/// Refuses everybody for this reason.
#[derive(Clone)]
struct Closed(Refusal);

impl Gate for Closed {
    async fn judge(&self, _: Hello) -> Result<(u64, Hello), Refusal> {
        Err(self.0.clone())
    }

    fn arrived(&self, _: Arrival) {}

    fn left(&self, _: u64) {}
}

#[tokio::test]
async fn a_newcomer_that_is_refused_for_good_is_counted_where_it_is_refused() {
    for (refusal, counted) in [
        (Refusal::NameTaken("n".to_owned()), 1),
        (Refusal::Fact("another database".to_owned()), 1),
        (Refusal::Connected, 0),
    ] {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap().to_string();
        let counters = Arc::new(Counters::default());
        let plain = Security::Plain { anywhere: false };
        let gate = Closed(refusal.clone());
        let accepting = accept(listener, plain.clone(), Arc::clone(&counters), gate);
        let accepting = spawn_named("cluster port", accepting);
        let hello = Hello {
            versions: crate::hello::VERSIONS,
            cluster: String::new(),
            member: Member {
                id: "i".to_owned(),
                incarnation: 1,
                life: 1,
                name: "n".to_owned(),
                address: "127.0.0.1:1".to_owned(),
                roles: Vec::new(),
                facts: Vec::new(),
            },
            router: 1,
            known: Vec::new(),
        };
        let dialed = dial(&address, &plain, &hello).await.map(|_| ());
        assert!(
            matches!(&dialed, Err(crate::transport::DialError::Refused(told)) if *told == refusal),
            "{dialed:?}"
        );
        let count = counters
            .newcomers_refused
            .load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(count, counted, "{refusal}");
        accepting.abort();
    }
}
