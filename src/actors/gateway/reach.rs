//! Whether key managers answer this gateway: pure. One that is merely slow once is not silent; when
//! none has answered since a question was sent that got no answer, they are.

/// What is known of the key managers.
#[derive(Debug)]
pub(super) struct Reach {
    /// When one answered last, on the steady clock.
    answered_ms: i64,
    is_silent: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            answered_ms: i64::MIN,
            is_silent: false,
        }
    }
}

// === impl Reach ===

impl Reach {
    /// Whether none answers.
    pub(super) const fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// One has answered; whether that ends a silence.
    pub(super) const fn answered(&mut self, now_ms: i64) -> bool {
        self.answered_ms = now_ms;
        std::mem::replace(&mut self.is_silent, false)
    }

    /// What was sent then got no answer from any of them; whether a silence begins.
    pub(super) const fn failed(&mut self, sent_ms: i64) -> bool {
        let begins = self.answered_ms < sent_ms && !self.is_silent;
        self.is_silent = self.is_silent || begins;
        begins
    }

    /// There is none; whether a silence begins.
    pub(super) const fn is_alone(&mut self) -> bool {
        !std::mem::replace(&mut self.is_silent, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_managers_are_silent_when_none_has_answered_since_a_question_that_failed() {
        let mut reach = Reach::default();
        assert!(!reach.is_silent());
        assert!(!reach.answered(100));
        assert!(!reach.failed(90) && !reach.is_silent(), "slow once");
        assert!(reach.failed(101) && reach.is_silent());
        assert!(!reach.failed(102), "it began before");
        assert!(!reach.failed(50) && reach.is_silent());
        assert!(reach.answered(200) && !reach.is_silent());
        assert!(reach.is_alone() && !reach.is_alone());
        assert!(reach.answered(300) && !reach.answered(301));
    }
}
