//! The body of a request on its way to its upstream. It may outlive its answer (RFC 9113 §8.1), and hyper
//! asks it for nothing as long as the upstream takes nothing: so what it holds can be taken from it, by
//! whatever ends the call.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cluster::{Clock, spawn_named};
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};

use crate::patience::{PIECE, Waiting};
use crate::received::Received;

use super::body::BodyFault;
use super::crowd::Place;
use super::endable::Ending;
use super::ingress::Settings;
use super::intake::{Intake, Side, Turn};
use super::meters::Meters;
use super::open_calls::Entered;

/// The body; none of a request without.
#[derive(Debug)]
pub(super) struct RequestBody(Option<Arc<Upload>>);

/// What it consists of, shared with whoever may end it.
#[derive(Debug)]
pub(super) struct Upload {
    intake: Arc<Intake>,
    clock: Clock,
    limit: u64,
    /// Counts the bytes, when a policy limits them.
    meters: Option<Arc<Meters>>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Flows(Box<Flowing>),
    /// It was ended from elsewhere.
    Ended,
    /// Nobody asks for it any more: its connection may be another call's by now.
    Over,
}

#[derive(Debug)]
struct Flowing {
    inner: Received,
    waiting: Waiting,
    /// The call's place among the open ones, which ends no earlier than this.
    _open: Option<Arc<Entered>>,
    /// The call's place among those under way, once its answer is over and this is not.
    place: Option<Place>,
    /// The connection that it has alone; known with the answer, and never over HTTP/2.
    ending: Option<Ending>,
}

// === impl RequestBody ===

impl RequestBody {
    /// At most `body_limit` bytes, each KiB within the patience for bodies.
    pub(super) fn new(
        inner: Received,
        intake: &Arc<Intake>,
        clock: &Clock,
        settings: &Settings,
        meters: Option<Arc<Meters>>,
        open: Option<Arc<Entered>>,
    ) -> Self {
        if inner.is_end_stream() {
            return Self(None);
        }
        let upload = Arc::new(Upload {
            intake: Arc::clone(intake),
            clock: clock.clone(),
            limit: settings.body_limit,
            meters,
            state: Mutex::new(State::Flows(Box::new(Flowing {
                inner,
                waiting: Waiting::new(settings.patience.body, PIECE),
                _open: open,
                place: None,
                ending: None,
            }))),
        });
        intake.carries(Arc::downgrade(&upload));
        Self(Some(upload))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &self.0 {
            Some(upload) => upload.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let Some(upload) = &self.0 else { return true };
        match &*upload.state() {
            State::Flows(flowing) => flowing.inner.is_end_stream(),
            State::Ended | State::Over => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let Some(upload) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        match &*upload.state() {
            State::Flows(flowing) => flowing.inner.size_hint(),
            State::Ended | State::Over => SizeHint::default(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(upload) = &self.0 {
            let state = std::mem::replace(&mut *upload.state(), State::Over);
            drop(state);
        }
    }
}

// === impl Upload ===

impl Upload {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let mut state = self.state();
        let flowing = match &mut *state {
            State::Flows(flowing) if !self.intake.is_cut() => flowing,
            _ => return Poll::Ready(Some(Err(BodyFault::Ended))),
        };
        let Poll::Ready(frame) = Pin::new(&mut flowing.inner).poll_frame(cx) else {
            if self.intake.poll_cut(cx, Side::Request).is_ready() {
                return Poll::Ready(Some(Err(BodyFault::Ended)));
            }
            self.intake.wanting(self.clock.monotonic());
            ready!(flowing.waiting.poll_over(cx));
            return Poll::Ready(Some(Err(BodyFault::Slow)));
        };
        self.intake.handed_on(self.clock.monotonic());
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Poll::Ready(Some(Err(BodyFault::Broken(error)))),
        };
        // Trailers could carry what was stripped from the head.
        let Ok(data) = frame.into_data() else {
            return Poll::Ready(None);
        };
        let bytes = data.len() as u64;
        flowing.waiting.came(bytes);
        if let Some(meters) = &self.meters {
            meters.count(bytes);
        }
        if self.intake.came(bytes) > self.limit {
            return Poll::Ready(Some(Err(BodyFault::TooLarge)));
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    /// It has this connection for itself, until it is over.
    pub(super) fn flows_over(&self, ending: Ending) {
        match &mut *self.state() {
            State::Flows(flowing) => flowing.ending = Some(ending),
            State::Ended => ending.end(),
            State::Over => {}
        }
    }

    /// Ends it, whether anybody asks for it or not: its caller is let go, and so is the upstream where it has a
    /// connection for itself. Of an HTTP/2 connection that others use the stream ends once the upstream takes
    /// more of it, which it does not get.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Flows(_)) {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Ended);
        // Before the state is free: the connection is not another call's yet.
        if let State::Flows(flowing) = &before
            && let Some(ending) = &flowing.ending
        {
            ending.end();
        }
        drop(state);
        drop(before);
    }

    /// Its call is under way until this is over.
    fn keeps(&self, place: Option<Place>) {
        if let State::Flows(flowing) = &mut *self.state() {
            flowing.place = place;
        }
    }

    /// How long the upstream may go on to take nothing; none once it is over.
    fn left(&self, limit: Duration) -> Option<Duration> {
        let taken = match &*self.state() {
            State::Flows(flowing) => flowing.ending.as_ref().map(Ending::taken),
            State::Ended | State::Over => return None,
        };
        Some(match self.intake.turn() {
            // The body's own patience is with the caller.
            (Turn::Caller, _) => limit,
            (Turn::Upstream, since) => {
                let since = since.max(taken.unwrap_or_default());
                (since + limit).saturating_sub(self.clock.monotonic())
            }
        })
    }
}

/// The answer is over. What is left of an upload then keeps the call's place among those under way, and ends when the upstream has taken nothing of it for so long.
pub(super) fn outlives(
    intake: &Intake,
    limit: Duration,
    request_id: &HeaderValue,
    place: Option<Place>,
) {
    let Some(upload) = intake.upload() else {
        return;
    };
    upload.keeps(place);
    // While the process ends nobody is waited for.
    if upload.left(limit).is_none() || tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    let (upload, request_id) = (Arc::downgrade(&upload), request_id.clone());
    spawn_named(
        "upload after its answer",
        until_over(upload, limit, request_id),
    );
}

async fn until_over(upload: Weak<Upload>, limit: Duration, request_id: HeaderValue) {
    while let Some(left) = upload.upgrade().and_then(|upload| upload.left(limit)) {
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        } else if let Some(upload) = upload.upgrade() {
            upload.end();
            let request_id = request_id.to_str().unwrap_or_default();
            tracing::info!(
                request_id,
                "the upstream takes nothing of an upload that it has answered: it ends"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::{Request, Version};
    use http_body_util::Empty;
    use hyper::client::conn::http1;
    use hyper::rt::Write as _;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::gateway::crowd::Crowd;
    use crate::gateway::endable::Endable;

    /// A body that does not come to its end while the other end of its way is there.
    async fn endless() -> (Received, tokio::io::DuplexStream) {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
        drop(spawn_named("way of a body", connection));
        let asked = sender.send_request(Request::new(Empty::<Bytes>::new()));
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        let answering = async {
            // Before it is asked hyper takes no answer.
            far.read_u8().await.unwrap();
            far.write_all(head).await.unwrap();
        };
        let (answer, ()) = tokio::join!(asked, answering);
        let body = answer.unwrap().into_body();
        (Received::new(body, Version::HTTP_11), far)
    }

    #[tokio::test]
    async fn an_upstream_that_takes_what_hyper_has_left_is_given_its_time_anew() {
        let (inner, _far) = endless().await;
        let (clock, settings) = (Clock::system(), Settings::default());
        let intake = Arc::new(Intake::default());
        let body = RequestBody::new(inner, &intake, &clock, &settings, None, None);
        let upload = intake.upload().unwrap();
        let (near, _upstream) = tokio::io::duplex(64);
        let mut connection = Endable::new(TokioIo::new(near), clock.clone());
        upload.flows_over(connection.ending().clone());
        // Long before hyper asked for the last frame.
        intake.handed_on(Duration::ZERO);
        let limit = clock.monotonic() / 2;
        assert_eq!(upload.left(limit), Some(Duration::ZERO));
        poll_fn(|cx| Pin::new(&mut connection).poll_write(cx, &[0; 48]))
            .await
            .unwrap();
        assert!(upload.left(limit) > Some(Duration::ZERO));
        drop(body);
        assert_eq!(upload.left(limit), None);
    }

    #[tokio::test]
    async fn a_call_whose_upload_outlives_its_answer_is_under_way_until_that_is_over() {
        let (inner, _far) = endless().await;
        let (clock, settings) = (Clock::system(), Settings::default());
        let intake = Arc::new(Intake::default());
        let crowd = Crowd::default();
        let place = crowd.enter(1).unwrap();
        let body = RequestBody::new(inner, &intake, &clock, &settings, None, None);
        let id = HeaderValue::from_static("one");
        outlives(&intake, settings.response_timeout, &id, Some(place));
        assert!(crowd.enter(1).is_err(), "it flows");
        drop(body);
        let place = crowd.enter(1).unwrap();
        // Of one that is over nothing is kept.
        outlives(&intake, settings.response_timeout, &id, Some(place));
        assert!(crowd.enter(1).is_ok());
    }
}
