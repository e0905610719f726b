//! Asking whoever has a role: the own actor first, then members in turn, until one answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Door, Elsewhere, Request};
use crate::ask::AskError;
use crate::cluster::{Parcel, ask_on};
use crate::codec::decode;
use crate::path::Path;

/// How long to wait before everybody is asked anew, when none has taken the ask.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an own actor that is not there is waited for before others are asked: one that is being
/// replaced is back by then.
const ABSENT: Duration = Duration::from_millis(50);

/// One ask on its way to whoever answers it.
struct Asking<'a, R: Request> {
    here: Option<&'a Door<R>>,
    elsewhere: &'a Elsewhere,
    parcel: Parcel,
    end: Instant,
}

/// Whom to ask next.
enum Next<R: Request> {
    Here(Door<R>),
    There(Arc<Path>),
}

/// Asks until one answers or the deadline is there.
pub(super) async fn ask<R: Request>(
    here: Option<&Door<R>>,
    elsewhere: &Elsewhere,
    request: R,
    deadline: Duration,
) -> Result<R::Reply, AskError> {
    if let Some(here) = here
        && elsewhere.is_alone()
    {
        return here.ask_here(request, deadline, deadline).await;
    }
    let parcel = Parcel::of(&request)?;
    let end = Instant::now() + deadline;
    let asking = Asking {
        here,
        elsewhere,
        parcel,
        end,
    };
    loop {
        let error = match asking.everybody().await {
            // Whoever takes no more is not asked all the faster for it: the caller is told (M2).
            Err(error) if is_open::<R>(error) && !is_an_answer(error) => error,
            answered => return answered,
        };
        if asking.left() <= PAUSE {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether somebody else may be asked after this: when nobody has taken the ask, or when asking
/// twice does no harm.
const fn is_open<R: Request>(error: AskError) -> bool {
    match error {
        // The next may be of a version that understands it.
        AskError::Unavailable | AskError::Overloaded | AskError::Unsupported => true,
        AskError::Dropped | AskError::Timeout => R::IDEMPOTENT,
    }
}

/// Whether a node has said this, so that it will say it again.
const fn is_an_answer(error: AskError) -> bool {
    matches!(error, AskError::Overloaded | AskError::Unsupported)
}

/// What of two refusals the caller is told: that there are too many asks before anything else; that
/// nobody understands this one only when nobody may come who does.
const fn weightier(one: Option<AskError>, other: AskError) -> AskError {
    match (one, other) {
        (Some(AskError::Overloaded), _) => AskError::Overloaded,
        (Some(one), AskError::Unsupported) => one,
        (_, other) => other,
    }
}

// === impl Asking ===

impl<R: Request> Asking<'_, R> {
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Everybody once: the next as soon as one has failed, and where asking twice does no harm, as
    /// soon as one is silent for the hedge. The first answer counts.
    async fn everybody(&self) -> Result<R::Reply, AskError> {
        let here = self.here.cloned().map(Next::Here);
        let there = self.elsewhere.cluster.ways(self.elsewhere.role);
        let mut next = here.into_iter().chain(there.into_iter().map(Next::There));
        let hedge = if R::IDEMPOTENT {
            self.elsewhere.hedge
        } else {
            Duration::MAX
        };
        let (mut asked, mut refused) = (JoinSet::new(), None);
        self.begin(&mut asked, next.next());
        loop {
            let silent = tokio::time::sleep(hedge.min(self.left()));
            let answered = tokio::select! {
                answered = asked.join_next() => answered,
                () = silent => {
                    if self.left().is_zero() {
                        return Err(AskError::Timeout);
                    }
                    self.begin(&mut asked, next.next());
                    continue;
                }
            };
            // Nobody is left to be asked.
            let Some(answer) = answered else {
                return Err(refused.unwrap_or(AskError::Unavailable));
            };
            match answer.unwrap_or(Err(AskError::Dropped)) {
                Err(error) if is_open::<R>(error) => {
                    refused = Some(weightier(refused, error));
                    self.begin(&mut asked, next.next());
                }
                answer => return answer,
            }
        }
    }

    fn begin(&self, asked: &mut JoinSet<Result<R::Reply, AskError>>, next: Option<Next<R>>) {
        let (parcel, left) = (self.parcel.clone(), self.left());
        match next {
            None => {}
            Some(Next::Here(door)) => {
                asked.spawn(async move {
                    let request = decode(R::KIND, R::VERSION, parcel.bytes());
                    let request = request.map_err(|_| AskError::Unsupported)?;
                    // It is asked again after the others.
                    door.ask_here(request, left, ABSENT.min(left)).await
                });
            }
            Some(Next::There(path)) => {
                asked.spawn(async move { ask_on::<R>(&path, parcel, left).await });
            }
        }
    }
}

// === impl Elsewhere ===

impl Elsewhere {
    pub(super) fn is_alone(&self) -> bool {
        self.cluster.ways(self.role).is_empty()
    }
}
