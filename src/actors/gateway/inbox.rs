//! Events of calls that ended, until the recorder has numbers for them. Outlives the recorder's
//! incarnations.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::usage::UsageEvent;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::call_sums::{CallSums, Sums};

/// Events that may wait, for the recorder to look and then for a number.
pub(super) const WAITING: usize = 65_536;

/// What waits.
pub(super) struct Inbox {
    left: Receiver<UsageEvent>,
    /// Looked at, and waiting for numbers.
    waiting: VecDeque<UsageEvent>,
    sums: Arc<CallSums>,
}

// === impl Inbox ===

impl Inbox {
    /// An inbox that counts into `sums`, and where calls leave their events.
    pub(super) fn new(sums: Arc<CallSums>) -> (Self, Sender<UsageEvent>) {
        let (sender, left) = channel(WAITING);
        let inbox = Self {
            left,
            waiting: VecDeque::new(),
            sums,
        };
        (inbox, sender)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        (self.left.len() + self.waiting.len()) as u64
    }

    /// Hands out up to `most` events; gives how many.
    pub(super) fn take(&mut self, most: u64, mut to: impl FnMut(&UsageEvent)) -> u64 {
        let sums = Arc::clone(&self.sums);
        let mut sums = sums.lock();
        let mut taken = 0;
        while taken < most {
            let next = self.waiting.pop_front();
            let Some(event) = next.or_else(|| self.look(&mut sums)) else {
                break;
            };
            to(&event);
            taken += 1;
        }
        taken
    }

    /// Looks at what came, when there are no numbers: metrics go on, and calls find room.
    pub(super) fn look_at_all(&mut self) {
        let sums = Arc::clone(&self.sums);
        let mut sums = sums.lock();
        while self.waiting.len() < WAITING {
            let Some(event) = self.look(&mut sums) else {
                return;
            };
            self.waiting.push_back(event);
        }
    }

    fn look(&mut self, sums: &mut Sums) -> Option<UsageEvent> {
        let event = self.left.try_recv().ok()?;
        sums.count(&event);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_looked_at_once_and_handed_out_once_in_order() {
        let sums = Arc::new(CallSums::default());
        let (mut inbox, sender) = Inbox::new(Arc::clone(&sums));
        let leave = |at_ms| {
            let event = UsageEvent {
                at_ms,
                ..UsageEvent::default()
            };
            sender.try_send(event).unwrap();
        };
        (0..3).for_each(leave);
        inbox.look_at_all();
        (3..5).for_each(leave);
        assert_eq!(inbox.len(), 5);
        let mut seen = Vec::new();
        assert_eq!(inbox.take(4, |event| seen.push(event.at_ms)), 4);
        assert_eq!(inbox.take(4, |event| seen.push(event.at_ms)), 1);
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        let mut text = String::new();
        sums.write(&mut text);
        let counted = "headgate_http_request_duration_seconds_count 5";
        assert!(text.contains(counted), "{text}");
    }
}
