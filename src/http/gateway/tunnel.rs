//! An open socket: two connections, and what each side sends passed on to the other until one of them has said its
//! Close, has gone, or may not go on. Whatever ends it from here (its credential, the node that goes, a side that is
//! lost) is said with a Close and its code (RFC 6455 §7.4) at the next end of a frame; then the sides have a moment.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actors::gateway::Caller;
use domain::websocket::{CloseCode, Sender, close};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::exchange::Exchange;
use super::fault::Fault;
use super::intake::Side;
use super::pump::{End, Pump};

/// How long the sides have for their own Close once the gateway has said one, and then for the end of their connection.
const PARTING: Duration = Duration::from_secs(2);
/// How long the other direction may be silent once one has ended.
const CLOSING: Duration = Duration::from_secs(10);
/// The clock that tells when a credential ends is looked at so often: it may be set.
const LOOK: Duration = Duration::from_secs(30);

/// How much longer than requests sockets may last when a node stops.
pub(super) const AFTER_DRAIN: Duration = Duration::from_secs(4);

/// What was agreed on: two connections that are about to be sockets.
#[derive(Debug)]
pub(super) struct Agreed {
    caller: OnUpgrade,
    upstream: OnUpgrade,
    /// When the credential that it was opened with ends, milliseconds since the epoch.
    expires_at_ms: Option<i64>,
}

/// A socket, from the answer to its request on.
#[derive(Debug)]
pub(super) struct Tunnel {
    agreed: Box<Agreed>,
    account: Box<Account>,
}

/// The socket that a connection becomes, if it does.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Option<Tunnel>>);

/// While both connections are there.
struct Open {
    caller: TokioIo<Upgraded>,
    upstream: TokioIo<Upgraded>,
    inward: Direction,
    outward: Direction,
    account: Box<Account>,
    /// Nothing of it lasts longer, once the gateway has said a Close.
    parts_at: Option<Instant>,
    /// Whether the upstream is told that the caller sends no more.
    ends_inward: bool,
}

/// One direction and how it has ended.
struct Direction {
    pump: Pump,
    end: Option<End>,
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the caller to the upstream.
    Inward,
    /// From the upstream to the caller.
    Outward,
}

/// What may happen to a socket.
enum Event {
    /// A change has ended what it rests on.
    Cut(Fault),
    /// The credential has ended by itself.
    Expired,
    /// The node goes, and the time that open calls have is over.
    Leaves,
    /// It is time to look how long nothing has moved.
    Look,
    Ended(Way, End),
}

/// Counts the open sockets.
struct Counted;

// === impl Agreed ===

impl Agreed {
    /// Of an upstream's answer that agrees to what was asked; none of any other.
    pub(super) fn of(
        exchange: &mut Exchange,
        answer: &mut Response<Incoming>,
    ) -> Option<Box<Self>> {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        let handshake = exchange.handshake.take()?;
        let caller = exchange.caller.as_ref().map(|entry| entry.said());
        let expires_at_ms = match caller {
            Some(Caller::Granted(granted)) => granted.grant.expires_at_ms,
            _ => None,
        };
        Some(Box::new(Self {
            caller: handshake.caller(),
            upstream: hyper::upgrade::on(answer),
            expires_at_ms,
        }))
    }
}

// === impl Slot ===

impl Slot {
    /// The connection becomes this, once its answer has gone out.
    pub(super) fn hold(&self, tunnel: Tunnel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// What it has become.
    pub(super) fn take(&self) -> Option<Tunnel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

// === impl Tunnel ===

impl Tunnel {
    pub(super) fn new(agreed: Box<Agreed>, mut account: Box<Account>) -> Self {
        // Until somebody has said a Close.
        account.broken = true;
        Self { agreed, account }
    }

    /// Passes on what comes until the socket ends; the node goes when `leaves` is cancelled.
    pub(super) async fn run(self, leaves: &CancellationToken) {
        let Self { agreed, account } = self;
        let expires_at_ms = agreed.expires_at_ms;
        let within = account.ingress.settings.patience.head;
        let both = async { tokio::try_join!(agreed.caller, agreed.upstream) };
        // Who went before it was open has not got its answer.
        let Ok(Ok((caller, upstream))) = timeout(within, both).await else {
            return;
        };
        let counted = Counted::new();
        let most = account.ingress.settings.body_limit;
        let mut open = Open {
            caller: TokioIo::new(caller),
            upstream: TokioIo::new(upstream),
            inward: Direction::of(Sender::Client, most),
            outward: Direction::of(Sender::Server, u64::MAX),
            account,
            parts_at: None,
            ends_inward: false,
        };
        open.pass(leaves, expires_at_ms).await;
        let Open {
            mut caller,
            mut upstream,
            account,
            ..
        } = open;
        // Its last byte has gone.
        drop((account, counted));
        let ends = async { tokio::join!(caller.shutdown(), upstream.shutdown()) };
        let _ = timeout(PARTING, ends).await;
    }
}

// === impl Open ===

impl Open {
    async fn pass(&mut self, leaves: &CancellationToken, expires_at_ms: Option<i64>) {
        let intake = Arc::clone(&self.account.intake);
        let clock = self.account.ingress.gateway.clock().clone();
        let mut leaves = pin!(leaves.cancelled());
        let mut expires = pin!(async {
            let Some(at_ms) = expires_at_ms else {
                return pending().await;
            };
            while let Ok(left @ 1..) = u64::try_from(at_ms.saturating_sub(clock.now_ms())) {
                sleep(LOOK.min(Duration::from_millis(left))).await;
            }
        });
        loop {
            let (is_open, look) = (self.parts_at.is_none(), self.look());
            let event = tokio::select! {
                biased;
                fault = intake.ended(Side::Answer), if is_open => Event::Cut(fault),
                () = &mut expires, if is_open => Event::Expired,
                () = &mut leaves, if is_open => Event::Leaves,
                () = sleep_until(look) => Event::Look,
                (way, end) = poll_fn(|cx| self.poll(cx)) => Event::Ended(way, end),
            };
            if self.meets(event).is_over() {
                return;
            }
        }
    }

    /// Passes on what is there; ready when a direction has ended that had not.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Way, End)> {
        let (caller, upstream) = (&mut self.caller, &mut self.upstream);
        let account = &mut self.account;
        if self.inward.end.is_none() {
            let pump = &mut self.inward.pump;
            let mut passed = |bytes| {
                account.intake.came(bytes);
                if let Some(meters) = &account.meters {
                    meters.count(bytes);
                }
            };
            let (from, to) = (Pin::new(&mut *caller), Pin::new(&mut *upstream));
            if let Poll::Ready(end) = pump.poll_pass(cx, from, to, &mut passed) {
                return Poll::Ready((Way::Inward, end));
            }
        }
        if self.ends_inward && Pin::new(&mut *upstream).poll_shutdown(cx).is_ready() {
            self.ends_inward = false;
        }
        if self.outward.end.is_none() {
            let pump = &mut self.outward.pump;
            let mut passed = |bytes| account.passed(bytes);
            let (from, to) = (Pin::new(upstream), Pin::new(caller));
            if let Poll::Ready(end) = pump.poll_pass(cx, from, to, &mut passed) {
                return Poll::Ready((Way::Outward, end));
            }
        }
        Poll::Pending
    }

    /// When to look how long nothing has moved. What begins to wait after a look may do so for at least as long as is
    /// slept here, so no look comes too late.
    fn look(&self) -> Instant {
        let patience = self.account.ingress.settings.patience.idle;
        self.until().min(Instant::now() + patience)
    }

    /// When nothing has moved for too long; once the gateway has said a Close, when that has lasted long enough.
    fn until(&self) -> Instant {
        if let Some(at) = self.parts_at {
            return at;
        }
        let [inward, outward] = [&self.inward, &self.outward].map(|way| way.pump.moved());
        let settings = &self.account.ingress.settings;
        let is_closing = self.inward.end.is_some() || self.outward.end.is_some();
        let idle = if is_closing {
            CLOSING.min(settings.socket_idle)
        } else {
            settings.socket_idle
        };
        let mut until = inward.0.max(outward.0) + idle;
        for (since, waits) in [inward, outward] {
            if waits {
                until = until.min(since + settings.patience.idle);
            }
        }
        until
    }

    fn meets(&mut self, event: Event) -> &Self {
        match event {
            Event::Cut(fault) => {
                // What nobody can tell may be so again in a moment.
                let code = if fault.is_unsure() {
                    CloseCode::TryAgain
                } else {
                    CloseCode::Policy
                };
                self.part((code, code), fault.message);
            }
            Event::Expired => {
                let code = CloseCode::Policy;
                self.part((code, code), "the credential has expired");
            }
            Event::Leaves => {
                let code = CloseCode::GoingAway;
                self.part((code, code), "the gateway goes");
            }
            Event::Look if self.until() <= Instant::now() => self.lasts_too_long(),
            Event::Look => {}
            Event::Ended(way, end) => self.ends(way, end),
        }
        self
    }

    fn ends(&mut self, way: Way, end: End) {
        let direction = match way {
            Way::Inward => &mut self.inward,
            Way::Outward => &mut self.outward,
        };
        direction.end = Some(end);
        match (way, end) {
            (_, End::Closed) => self.account.broken = false,
            (_, End::Parted) => {}
            // It may have said its Close before: that is read first.
            (Way::Inward, End::Unreachable) => {}
            (Way::Inward, End::Gone) => self.caller_has_gone(),
            (Way::Outward, End::Gone) => self.upstream_has_gone(),
            (Way::Outward, End::Unreachable) => self.inward.end = Some(End::Gone),
            (Way::Inward, End::Broke(fault)) => {
                let code = fault.code();
                self.part((code, code), &fault.to_string());
            }
            (Way::Outward, End::Broke(fault)) => {
                let codes = (CloseCode::Internal, fault.code());
                self.part(codes, &fault.to_string());
            }
        }
    }

    /// Without a Close. It may have closed the one half only, and the upstream may have more to say.
    fn caller_has_gone(&mut self) {
        self.ends_inward = true;
    }

    /// Without a Close: the caller gets one from here, unless it has ended itself or is in the middle of a frame.
    fn upstream_has_gone(&mut self) {
        let goodbye = close(CloseCode::Internal, "the endpoint has gone", None);
        let has_ended = matches!(self.inward.end, Some(End::Closed | End::Gone));
        if has_ended || !self.outward.part(goodbye) {
            return self.give_up();
        }
        self.parts();
        self.said(CloseCode::Internal, "the endpoint has gone");
        self.inward.pump.forget();
        self.inward.end = None;
    }

    /// Nothing has moved for as long as that may be.
    fn lasts_too_long(&mut self) {
        let has_ended = self.inward.end.is_some() || self.outward.end.is_some();
        let patience = self.account.ingress.settings.patience.idle;
        let is_stuck = |way: &Direction| {
            let (since, waits) = way.pump.moved();
            waits && since + patience <= Instant::now()
        };
        if has_ended || self.parts_at.is_some() || is_stuck(&self.inward) || is_stuck(&self.outward)
        {
            return self.give_up();
        }
        let code = CloseCode::GoingAway;
        self.part((code, code), "nothing was sent for too long");
    }

    /// Says a Close to both sides that can hear one; the first code is the caller's.
    fn part(&mut self, (caller, upstream): (CloseCode, CloseCode), reason: &str) {
        let is_heard = self.outward.part(close(caller, reason, None));
        let [a, b, c, d, ..] = uuid::Uuid::new_v4().into_bytes();
        let mask = Some([a, b, c, d]);
        self.inward.part(close(upstream, reason, mask));
        self.parts();
        if is_heard {
            self.said(caller, reason);
        }
    }

    /// From here on the sides have a moment.
    fn parts(&mut self) {
        self.parts_at.get_or_insert(Instant::now() + PARTING);
    }

    /// Tells of a Close that the caller gets.
    fn said(&self, code: CloseCode, reason: &str) {
        let code = code.number();
        metrics::counter!("headgate_gateway_websockets_closed_total", "code" => code.to_string())
            .increment(1);
        let request_id = self.account.request_id.to_str().unwrap_or_default();
        tracing::info!(request_id, code, reason, "socket closed from here");
    }

    fn give_up(&mut self) {
        self.inward.end.get_or_insert(End::Gone);
        self.outward.end.get_or_insert(End::Gone);
    }

    fn is_over(&self) -> bool {
        self.inward.end.is_some() && self.outward.end.is_some()
    }
}

// === impl Direction ===

impl Direction {
    fn of(sender: Sender, most: u64) -> Self {
        Self {
            pump: Pump::new(sender, most),
            end: None,
        }
    }

    /// Ends with this word of the gateway's, if that can be said.
    fn part(&mut self, goodbye: Vec<u8>) -> bool {
        let can = self.pump.part(goodbye);
        if can {
            self.end = None;
        }
        can
    }
}

// === impl Counted ===

impl Counted {
    fn new() -> Self {
        metrics::gauge!("headgate_gateway_websockets").increment(1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("headgate_gateway_websockets").decrement(1);
    }
}
