//! The changes of a streams world, and what they make of tokens: revoked, ended with their application, closed and
//! opened with its subscription, or merely touched.

use crate::api::SUPER_TENANT;
use crate::application::{ApplicationStatus, KeyType};
use crate::validation::{Grant, GrantKind, GrantedApplication, UserType};
use crate::validation_cache::{Subject, SubjectKind};

/// Clients, two of each application.
pub(super) const CLIENTS: usize = 6;
const OF_APPLICATION: usize = 2;

pub(super) type Token = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A token is over.
    Revoked(Token),
    /// What was issued to an application before is over.
    Marked(usize),
    /// An application or client is another, and lets through what it did.
    Altered(usize),
    ClientAltered(usize),
    /// A subscription is closed or opened; whether the entry says which.
    Closed {
        application: usize,
        closed: bool,
        said: bool,
    },
}

/// What a key manager says of a token, or a gateway itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Not revoked, and covered by no mark.
    pub(super) granted: bool,
    /// Its subscription lets it through.
    pub(super) open: bool,
    /// The last change of its consumer that was known.
    pub(super) version: u64,
    /// Whether a gateway said it.
    pub(super) here: bool,
}

/// All changes, and all tokens: whom each was issued to, and after which change.
#[derive(Debug, Default)]
pub(super) struct Log {
    changes: Vec<Change>,
    tokens: Vec<(usize, u64)>,
}

/// Since which change a token is no good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) since: Option<u64>,
    /// And since which one that says so itself.
    pub(super) certain: Option<u64>,
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn is_good(self) -> bool {
        self.granted && self.open
    }
}

// === impl Log ===

impl Log {
    pub(super) fn head(&self) -> u64 {
        self.changes.len() as u64
    }

    pub(super) fn commit(&mut self, change: Change) -> u64 {
        self.changes.push(change);
        self.head()
    }

    pub(super) fn issue(&mut self, client: usize) -> Token {
        self.tokens.push((client, self.head()));
        self.tokens.len() - 1
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn client(&self, token: Token) -> usize {
        self.tokens[token].0
    }

    /// What change `n` touches.
    pub(super) fn touched(&self, n: u64) -> Vec<Subject> {
        let place = usize::try_from(n - 1).unwrap();
        vec![match self.changes[place] {
            Change::Revoked(token) => subject(SubjectKind::Token, &format!("t{token}")),
            Change::Marked(application)
            | Change::Altered(application)
            | Change::Closed { application, .. } => application_subject(application),
            Change::ClientAltered(client) => subject(SubjectKind::Client, &key(client)),
        }]
    }

    /// What a verdict about a token rests on.
    pub(super) fn subjects(&self, token: Token) -> Vec<Subject> {
        let client = self.client(token);
        vec![
            subject(SubjectKind::Token, &format!("t{token}")),
            subject(SubjectKind::Client, &key(client)),
            application_subject(client / OF_APPLICATION),
        ]
    }

    /// Since when a token is no good, by the changes up to `n`.
    pub(super) fn bad(&self, token: Token, n: u64) -> Bad {
        let (client, issued) = self.tokens[token];
        let own = client / OF_APPLICATION;
        let (mut over, mut closed) = (None, Bad::default());
        for (at, change) in (1..=n).zip(&self.changes) {
            match *change {
                Change::Revoked(revoked) if revoked == token => over = over.or(Some(at)),
                Change::Marked(marked) if marked == own && at > issued => over = over.or(Some(at)),
                Change::Closed {
                    application,
                    closed: is_closed,
                    said,
                } if application == own => {
                    closed = Bad {
                        since: is_closed.then(|| closed.since.unwrap_or(at)),
                        certain: (is_closed && said).then(|| closed.certain.unwrap_or(at)),
                    };
                }
                _ => {}
            }
        }
        let first = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        Bad {
            since: first(over, closed.since),
            certain: first(over, closed.certain),
        }
    }

    /// Whether a subscription is open, by the changes up to `n`.
    pub(super) fn is_open(&self, client: usize, n: u64) -> bool {
        let own = client / OF_APPLICATION;
        let known = self.changes[..usize::try_from(n).unwrap()].iter().rev();
        let mut last = known.filter_map(|change| match change {
            Change::Closed {
                application,
                closed,
                ..
            } if *application == own => Some(!closed),
            _ => None,
        });
        last.next().unwrap_or(true)
    }

    /// The last change up to `n` that touched a consumer.
    pub(super) fn version(&self, client: usize, n: u64) -> u64 {
        let own = application_subject(client / OF_APPLICATION);
        let client = subject(SubjectKind::Client, &key(client));
        let touches = |at: &u64| {
            let touched = self.touched(*at);
            touched.contains(&own) || touched.contains(&client)
        };
        (1..=n).rev().find(touches).unwrap_or(0)
    }

    /// Whether a token was revoked or is covered by a mark, by the changes up to `n`.
    pub(super) fn is_over(&self, token: Token, n: u64) -> bool {
        let (client, issued) = self.tokens[token];
        let own = client / OF_APPLICATION;
        (1..=n)
            .zip(&self.changes)
            .any(|(at, change)| match *change {
                Change::Revoked(revoked) => revoked == token,
                Change::Marked(marked) => marked == own && at > issued,
                _ => false,
            })
    }

    /// What a key manager says that has applied everything up to `n`.
    pub(super) fn verdict(&self, token: Token, n: u64) -> Verdict {
        let client = self.client(token);
        Verdict {
            granted: !self.is_over(token, n),
            open: self.is_open(client, n),
            version: self.version(client, n),
            here: false,
        }
    }
}

/// A client's consumer key.
pub(super) fn key(client: usize) -> String {
    format!("c{client}")
}

fn subject(kind: SubjectKind, id: &str) -> Subject {
    Subject::new(kind, SUPER_TENANT, id)
}

fn application_subject(application: usize) -> Subject {
    subject(SubjectKind::Application, &format!("a{application}"))
}

/// What is learned of a consumer from a verdict: the version stands in its plan, whether it is open in its owner.
pub(super) fn grant(client: usize, verdict: &Verdict) -> Grant {
    Grant {
        at: 0,
        tenant: SUPER_TENANT.to_owned(),
        kind: GrantKind::Jwt,
        issuer: String::new(),
        token_id: String::new(),
        session: None,
        consumer_key: key(client),
        key_type: KeyType::Production,
        scopes: Vec::new(),
        audiences: Vec::new(),
        user: String::new(),
        user_type: UserType::Application,
        issued_at_ms: 0,
        not_before_ms: None,
        expires_at_ms: None,
        application: Some(GrantedApplication {
            id: format!("a{}", client / OF_APPLICATION),
            name: String::new(),
            owner: if verdict.open { "open" } else { "closed" }.to_owned(),
            policy: verdict.version.to_string(),
            status: ApplicationStatus::Approved,
        }),
        subscriptions: Vec::new(),
        bound_api_id: None,
        permitted_ips: Vec::new(),
        permitted_referers: Vec::new(),
    }
}
