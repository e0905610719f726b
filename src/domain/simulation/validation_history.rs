//! The changes of a validation world: branches of one history, each begun by a restored backup. What a credential is
//! worth follows from the changes of its subjects.

use crate::validation_cache::{Subject, SubjectKind};

/// Subjects that changes touch.
const SUBJECTS: usize = 16;
/// Subjects of one credential.
const RESTS_ON: usize = 3;

/// What is known at some number of some branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) branch: usize,
    pub(super) n: usize,
}

/// A key manager's answer, and what it knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) good: bool,
    pub(super) computed_at: Place,
    /// When it may be used no more.
    pub(super) until_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    uuid: u64,
    subject: usize,
}

/// All branches; the last one is in force.
#[derive(Debug)]
pub(super) struct History {
    branches: Vec<Vec<Change>>,
    backup: Place,
    uuids: u64,
}

// === impl History ===

impl History {
    pub(super) fn new() -> Self {
        Self {
            branches: vec![Vec::new()],
            backup: Place::default(),
            uuids: 0,
        }
    }

    pub(super) fn head(&self) -> Place {
        let branch = self.branches.len() - 1;
        Place {
            branch,
            n: self.branches[branch].len(),
        }
    }

    pub(super) fn commit(&mut self, subject: usize) {
        self.uuids += 1;
        let uuid = self.uuids;
        let branch = self.head().branch;
        self.branches[branch].push(Change {
            uuid,
            subject: subject % SUBJECTS,
        });
    }

    pub(super) fn back_up(&mut self) {
        self.backup = self.head();
    }

    pub(super) fn restore(&mut self) {
        let Place { branch, n } = self.backup;
        let restored = self.branches[branch][..n].to_vec();
        self.branches.push(restored);
        self.backup.branch += 1;
        self.backup = self.head();
    }

    /// Where a follower at `place` stands in the branch in force, if that has everything it has (C2).
    pub(super) fn followed(&self, place: Place) -> Option<Place> {
        let branch = self.head().branch;
        let last = place.n.checked_sub(1);
        let same = last.is_none_or(|last| {
            self.branches[branch].get(last) == Some(&self.branches[place.branch][last])
        });
        same.then_some(Place { branch, n: place.n })
    }

    /// What the change after `place` touches.
    pub(super) fn next(&self, place: Place) -> Option<Subject> {
        let change = self.branches[place.branch].get(place.n)?;
        Some(subject(change.subject))
    }

    /// What a key manager says that knows everything up to `at`; good until told otherwise.
    pub(super) fn verdict(&self, credential: usize, at: Place) -> Verdict {
        let known = &self.branches[at.branch][..at.n];
        let touches = known
            .iter()
            .filter(|change| rests_on(credential).contains(&change.subject));
        Verdict {
            good: touches.count() % 2 == 0,
            computed_at: at,
            until_ms: i64::MAX,
        }
    }

    /// The change that a verdict about `credential` does not know although it was acknowledged at `acknowledged` and no
    /// restored backup has undone it.
    pub(super) fn unknown_to(
        &self,
        verdict: &Verdict,
        credential: usize,
        acknowledged: Place,
    ) -> Option<usize> {
        let computed = verdict.computed_at;
        let newest = &self.branches[computed.branch.max(acknowledged.branch)];
        let knows = &self.branches[computed.branch][..computed.n];
        let acknowledged = &self.branches[acknowledged.branch][..acknowledged.n];
        let mut touching = acknowledged
            .iter()
            .enumerate()
            .rev()
            .filter(|(at, change)| {
                rests_on(credential).contains(&change.subject) && newest.get(*at) == Some(change)
            });
        // Who knows the last one knows those before it.
        let (at, change) = touching.next()?;
        (knows.get(at) != Some(change)).then_some(at + 1)
    }
}

/// The subjects that a credential rests on.
pub(super) fn subjects(credential: usize) -> Vec<Subject> {
    rests_on(credential).into_iter().map(subject).collect()
}

fn rests_on(credential: usize) -> [usize; RESTS_ON] {
    // Neighbours share subjects, as the tokens of one application do.
    std::array::from_fn(|which| (credential + which * which * 3) % SUBJECTS)
}

fn subject(index: usize) -> Subject {
    Subject::new(
        SubjectKind::Application,
        "carbon.super",
        format!("s{index}"),
    )
}
