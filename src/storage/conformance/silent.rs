//! A server that goes away without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::server;
use crate::StoreError;
use crate::database::{Database, Schema};

/// A schema without a table of its own: it is at home in any database.
const NOTHING: Schema = Schema {
    name: "apim",
    migrations: &[],
};

/// Only who asks for the moment says this.
const ASKS: &[u8] = b"clock_timestamp";

/// Passes everything on until somebody asks for the moment: from then on nobody hears anything.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: Arc<AtomicBool>) {
    let mut bytes = vec![0; 8_192];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let read = &bytes[..count];
        if read.windows(ASKS.len()).any(|some| some == ASKS) {
            swallows.store(true, Ordering::SeqCst);
        }
        if !swallows.load(Ordering::SeqCst) && to.write_all(read).await.is_err() {
            return;
        }
    }
}

/// Stands between this and the server.
async fn stand_between(listener: TcpListener, server: String) {
    let swallows = Arc::new(AtomicBool::new(false));
    let mut passing = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (from, to) = client.into_split();
        let (back, on) = TcpStream::connect(&server).await.unwrap().into_split();
        passing.spawn(pass(from, on, Arc::clone(&swallows)));
        passing.spawn(pass(back, to, Arc::clone(&swallows)));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_asked_for_its_moment_for_seconds_and_not_until_tcp_gives_up()
{
    let Some(url) = server() else {
        return;
    };
    let (user, place) = url.split_once('@').unwrap();
    let (address, name) = place.split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let between = stand_between(listener, address.to_owned());
    let asking = async {
        let url = format!("{user}@127.0.0.1:{port}/{name}");
        let database = Database::open(&url, &NOTHING).await.unwrap();
        let began = Instant::now();
        let asked = tokio::time::timeout(Duration::from_secs(20), database.moment_ms(1)).await;
        let refused = asked.expect("it gives up").unwrap_err();
        assert!(
            matches!(refused, StoreError::Unavailable { .. }),
            "{refused}"
        );
        assert!(began.elapsed() < Duration::from_secs(8));
    };
    tokio::select! {
        () = between => panic!("nobody stands between"),
        () = asking => {}
    }
}
