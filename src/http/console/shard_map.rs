//! The shards as a picture: a square each, in the look of who owns it.

use actors::traffic_manager::{LAYOUT, SeenShards};

use crate::seen::shards::Shard;

/// Squares in a row, and their size in the picture's own units.
const COLUMNS: u16 = 32;
const SIZE: u16 = 20;
/// Looks that owners are told apart by; those beyond share the last one, and each has a letter as well.
const LOOKS: usize = 8;

/// The most spans of shards that are named at once.
const NAMED: usize = 8;

/// The picture.
pub(super) struct Map {
    pub(super) squares: Vec<Square>,
    pub(super) owners: Vec<Owner>,
    pub(super) width: u16,
    pub(super) height: u16,
    /// All of it in a sentence.
    pub(super) told: String,
}

/// One shard.
pub(super) struct Square {
    pub(super) x: u16,
    pub(super) y: u16,
    /// The classes of how it looks.
    pub(super) look: String,
    /// The letter of its owner.
    pub(super) letter: char,
    /// What is known of it, in words.
    pub(super) title: String,
    number: u16,
    standing: Standing,
    is_lost: bool,
}

/// What an owner says of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unowned,
    /// The owner does not answer.
    Silent,
    /// The owner answers, and says nothing of it.
    Unknown,
    /// It counts, and grants nothing yet.
    Sync,
    Granting,
}

/// Who owns shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) letter: char,
    pub(super) look: usize,
    pub(super) owns: usize,
    pub(super) stands_by: usize,
    /// Keys and questions of its own shards, as it says.
    pub(super) keys: u64,
    pub(super) waiting: u64,
    pub(super) answers: bool,
}

// === impl Map ===

impl Map {
    /// Draws what was seen; `name` gives what people call a node.
    pub(super) fn of(seen: &SeenShards, name: impl Fn(&str) -> String) -> Self {
        let shards: Vec<Shard<'_>> = (0..LAYOUT.shards)
            .map(|number| Shard::of(seen, number))
            .collect();
        let members = &seen.latest.view.members;
        let owners: Vec<(&str, Owner)> = members
            .iter()
            .enumerate()
            .map(|(at, life)| {
                let node = life.node.as_str();
                let is_silent = seen.unanswered.iter().any(|silent| silent == node);
                (node, Owner::of(at, node, &shards, name(node), !is_silent))
            })
            .collect();
        let lost = |number| {
            let mut lost = seen.latest.view.lost.iter();
            lost.any(|loss| loss.shard == number)
        };
        let squares: Vec<Square> = shards
            .iter()
            .map(|shard| {
                let owner = owners.iter().find(|(node, _)| Some(*node) == shard.owner);
                let owner = owner.map(|(_, owner)| owner);
                Square::of(shard, owner, lost(shard.number), &name)
            })
            .collect();
        let owners: Vec<Owner> = owners.into_iter().map(|(_, owner)| owner).collect();
        Self {
            told: told(&owners, &squares),
            squares,
            owners,
            width: COLUMNS * SIZE,
            height: LAYOUT.shards.div_ceil(COLUMNS) * SIZE,
        }
    }
}

fn told(owners: &[Owner], squares: &[Square]) -> String {
    let parts = owners
        .iter()
        .map(|owner| format!("{} owns {}", owner.name, owner.owns));
    let mut parts: Vec<String> = parts.collect();
    let silent = owners.iter().filter(|owner| !owner.answers);
    parts.extend(silent.map(|owner| format!("{} does not answer", owner.name)));
    let mut name = |what: &str, is: &dyn Fn(&Square) -> bool| {
        let found: Vec<u16> = squares
            .iter()
            .filter(|square| is(square))
            .map(|square| square.number)
            .collect();
        if !found.is_empty() {
            parts.push(format!("{what} {}: {}", found.len(), listed(&found)));
        }
    };
    let stands = |standing| move |square: &Square| square.standing == standing;
    name("nobody owns", &stands(Standing::Unowned));
    name("owners know nothing of", &stands(Standing::Unknown));
    name("not granting yet are", &stands(Standing::Sync));
    name("counts are lost of", &|square| square.is_lost);
    format!("{} shards: {}", squares.len(), parts.join("; "))
}

/// Ascending numbers, those that follow each other as a span; so many that somebody can listen to them.
fn listed(numbers: &[u16]) -> String {
    let spans = numbers.chunk_by(|one, next| one + 1 == *next);
    let spans = spans.filter_map(|span| match span {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first} to {last}")),
    });
    let mut spans: Vec<String> = spans.collect();
    let left = spans.len().saturating_sub(NAMED);
    if left > 0 {
        spans.truncate(NAMED);
        spans.push("and others".to_owned());
    }
    spans.join(", ")
}

// === impl Owner ===

impl Owner {
    fn of(at: usize, node: &str, shards: &[Shard<'_>], name: String, answers: bool) -> Self {
        let own = || shards.iter().filter(|shard| shard.owner == Some(node));
        let says = || own().filter_map(|shard| shard.of_owner);
        let stands_by = shards.iter().filter(|shard| shard.standby == Some(node));
        let letter = u8::try_from(at % 26).unwrap_or_default();
        Self {
            name,
            letter: char::from(b'A' + letter),
            look: at.min(LOOKS - 1),
            owns: own().count(),
            stands_by: stands_by.count(),
            keys: says().map(|told| told.keys).sum(),
            waiting: says().map(|told| told.waiting).sum(),
            answers,
        }
    }
}

// === impl Square ===

impl Square {
    fn of(
        shard: &Shard<'_>,
        owner: Option<&Owner>,
        is_lost: bool,
        name: impl Fn(&str) -> String,
    ) -> Self {
        let standing = Standing::of(shard, owner);
        let (word, class) = standing.told();
        let look = owner.map_or_else(String::new, |owner| format!("o{}", owner.look));
        let mut look = [look.as_str(), class].join(" ").trim().to_owned();
        if is_lost {
            look.push_str(" lost");
        }
        let mut title = format!("shard {}: {word}", shard.number);
        for (what, node) in [("owner", shard.owner), ("standby", shard.standby)] {
            if let Some(node) = node {
                title.push_str(&format!(", {what} {}", name(node)));
            }
        }
        if is_lost {
            title.push_str(", counts of it are lost");
        }
        Self {
            x: shard.number % COLUMNS * SIZE,
            y: shard.number / COLUMNS * SIZE,
            look,
            letter: owner.map_or('×', |owner| owner.letter),
            title,
            number: shard.number,
            standing,
            is_lost,
        }
    }
}

// === impl Standing ===

impl Standing {
    fn of(shard: &Shard<'_>, owner: Option<&Owner>) -> Self {
        let seat = shard.of_owner.map(|told| &told.seat);
        match (owner, seat) {
            (None, _) => Self::Unowned,
            (Some(_), Some(seat)) if seat.grants => Self::Granting,
            (Some(_), Some(_)) => Self::Sync,
            (Some(owner), None) if owner.answers => Self::Unknown,
            (Some(_), None) => Self::Silent,
        }
    }

    /// In words, and the class of how it looks.
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Unowned => ("nobody owns it", "none"),
            Self::Silent => ("its owner does not answer", "silent"),
            Self::Unknown => ("its owner answers and knows nothing of it", "sync"),
            Self::Sync => ("not granting yet", "sync"),
            Self::Granting => ("granting", ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use actors::agreed_view::Latest;
    use domain::view::{Life, Loss, View};

    use super::*;

    fn seen(members: &[&str], lost: Option<u16>) -> SeenShards {
        let life = |node: &&str| Life {
            node: (*node).to_owned(),
            incarnation: 1,
        };
        let lost = lost.map(|shard| Loss {
            shard,
            holders: Vec::new(),
            t0_ms: 0,
            epoch: Default::default(),
            held: Default::default(),
            is_mixed: false,
        });
        let view = View {
            members: members.iter().map(life).collect(),
            lost: lost.into_iter().collect(),
            ..View::default()
        };
        SeenShards {
            latest: Latest {
                view: Arc::new(view),
                voters: Vec::new(),
                voters_at: None,
            },
            told: BTreeMap::new(),
            unanswered: vec!["two".to_owned()],
        }
    }

    #[test]
    fn every_shard_has_a_square_and_every_owner_its_letter_and_its_number() {
        let map = Map::of(&seen(&["one", "two"], Some(3)), str::to_uppercase);
        assert_eq!(map.squares.len(), usize::from(LAYOUT.shards));
        let letters: Vec<_> = map
            .owners
            .iter()
            .map(|one| (one.letter, one.answers))
            .collect();
        assert_eq!(letters, [('A', true), ('B', false)]);
        for owner in &map.owners {
            let own = map.squares.iter().filter(|one| one.letter == owner.letter);
            assert_eq!(own.count(), owner.owns);
            assert!(
                owner.owns > 0 && owner.owns == 256 - owner.stands_by,
                "{owner:?}"
            );
        }
        let (first, last) = (&map.squares[0], &map.squares[255]);
        assert_eq!((first.x, first.y), (0, 0));
        assert_eq!((last.x + SIZE, last.y + SIZE), (map.width, map.height));
        for square in &map.squares {
            let (class, word) = match square.letter {
                'A' => (" sync", ": its owner answers and knows nothing of it, "),
                _ => (" silent", ": its owner does not answer, "),
            };
            assert!(square.look.contains(class), "{}", square.look);
            assert!(square.title.contains(word), "{}", square.title);
        }
        assert!(map.squares[3].look.ends_with(" lost"));
        let told = &map.told;
        assert!(told.starts_with("256 shards: ONE owns "), "{told}");
        assert!(
            told.contains("; TWO does not answer; owners know nothing of "),
            "{told}"
        );
        assert!(told.ends_with("; counts are lost of 1: 3"), "{told}");
    }

    #[test]
    fn without_members_nobody_owns_a_shard_and_the_picture_says_so() {
        let map = Map::of(&seen(&[], None), str::to_owned);
        assert!(
            map.squares
                .iter()
                .all(|one| one.letter == '×' && one.look == "none")
        );
        assert_eq!(map.told, "256 shards: nobody owns 256: 0 to 255");
    }

    #[test]
    fn exceptions_are_named_by_number_as_long_as_somebody_can_listen_to_them() {
        assert_eq!(listed(&[1, 2, 3, 7, 9, 10]), "1 to 3, 7, 9 to 10");
        let many: Vec<u16> = (0..9).map(|number| number * 2).collect();
        assert_eq!(listed(&many), "0, 2, 4, 6, 8, 10, 12, 14, and others");
    }
}
