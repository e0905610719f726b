//! What the port does with those who may not come in.

use super::*;
use crate::member::Member;
use crate::transport::{DialError, dial, dial_for_bulk};
use crate::{Authority, Clock, Credentials, NewKey};

/// Refuses everybody for this reason.
#[derive(Clone)]
struct Closed(Refusal);

impl Gate for Closed {
    async fn judge(&self, _: Hello) -> Result<(u64, Hello), Refusal> {
        Err(self.0.clone())
    }

    fn arrived(&self, _: Arrival) {}

    fn left(&self, _: u64) {}

    async fn carrier(&self, _: BulkHello) -> Result<Carrier, &'static str> {
        Err("nobody is connected")
    }
}

/// Welcomes everybody as this node.
#[derive(Clone)]
struct Open(&'static str);

impl Gate for Open {
    async fn judge(&self, _: Hello) -> Result<(u64, Hello), Refusal> {
        Ok((1, hello(self.0)))
    }

    fn arrived(&self, _: Arrival) {}

    fn left(&self, _: u64) {}

    async fn carrier(&self, _: BulkHello) -> Result<Carrier, &'static str> {
        Err("nobody is connected")
    }
}

fn at(listener: Arc<TcpListener>) -> (Arc<TcpListener>, Arc<Port>) {
    (listener, Arc::default())
}

fn hello(id: &str) -> Hello {
    Hello {
        versions: (1, 2),
        cluster: String::new(),
        member: Member {
            id: id.to_owned(),
            incarnation: 1,
            life: 1,
            name: "n".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            roles: Vec::new(),
            facts: Vec::new(),
        },
        key: 1,
        known: Vec::new(),
    }
}

/// What the node of this id speaks with, as it comes back from its file.
fn certified(authority: &Authority, id: &str) -> Security {
    let key = NewKey::generate().unwrap();
    let request = key.request().unwrap();
    let now_ms = Clock::system().now_ms();
    let certificate = authority.sign(&request, (id, false), now_ms).unwrap();
    let credentials = key.with(&certificate, authority.certificate()).unwrap();
    let kept = Credentials::from_pem(&credentials.to_pem()).unwrap();
    assert_eq!((kept.cluster(), kept.node()), ("c", id));
    Security::Mutual(kept.mutual(None).unwrap())
}

#[tokio::test]
async fn over_tls_each_end_is_the_node_that_its_certificate_names() {
    let authority = Authority::from_pem(&Authority::make("c").unwrap().to_pem()).unwrap();
    let other = Authority::make("c").unwrap();
    for (of_dialer, dialer, server, outcome, counted) in [
        (&authority, "dialer", "server", "met", 0),
        (&authority, "another", "server", "refused", 1),
        (&authority, "dialer", "another", "not whom it says", 0),
        (&other, "dialer", "server", "no handshake", 1),
    ] {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap().to_string();
        let counters = Arc::new(Counters::default());
        let security = certified(&authority, "server");
        let accepting = accept(at(listener), security, Arc::clone(&counters), Open(server));
        let accepting = spawn_named("cluster port", accepting);
        let security = certified(of_dialer, "dialer");
        let dialed = dial(&address, &security, &hello(dialer)).await;
        let was = match &dialed {
            Ok(_) => "met",
            Err(DialError::Refused(Refusal::Certificate(named))) if named == "dialer" => "refused",
            Err(DialError::Certificate) => "not whom it says",
            Err(error) if error.is_about_certificates() => "no handshake",
            Err(error) => panic!("{error}"),
        };
        assert_eq!(was, outcome);
        let count = async {
            while counters
                .newcomers_refused
                .load(std::sync::atomic::Ordering::Relaxed)
                != counted
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let counts = tokio::time::timeout(Duration::from_secs(5), count).await;
        assert!(counts.is_ok(), "{outcome}");
        accepting.abort();
    }
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
        let accepting = accept(at(listener), plain.clone(), Arc::clone(&counters), gate);
        let accepting = spawn_named("cluster port", accepting);
        let dialed = dial(&address, &plain, &hello("i")).await.map(|_| ());
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

#[tokio::test]
async fn over_tls_a_connection_for_what_is_large_is_of_the_node_that_its_certificate_names() {
    let authority = Authority::from_pem(&Authority::make("c").unwrap().to_pem()).unwrap();
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap().to_string();
    let security = certified(&authority, "server");
    let accepting = accept(at(listener), security, Arc::default(), Open("server"));
    let accepting = spawn_named("cluster port", accepting);
    for (dialer, meant, told) in [
        ("dialer", "server", "refused: nobody is connected"),
        (
            "another",
            "server",
            "refused: its certificate is another node's",
        ),
        (
            "dialer",
            "another",
            "it says that it is another node than its certificate names",
        ),
    ] {
        let security = certified(&authority, "dialer");
        let to = Member {
            address: address.clone(),
            ..hello(meant).member
        };
        let hello = BulkHello {
            member: hello(dialer).member,
            bears: 1,
        };
        let dialed = dial_for_bulk(&to, &security, &hello).await.map(|_| ());
        assert_eq!(dialed.unwrap_err().to_string(), told);
    }
    accepting.abort();
}
