//! The shards as a picture: a square each, in the look of who owns it.

use actors::traffic_manager::{LAYOUT, SeenShards};

use crate::seen::shards::Shard;

/// Squares in a row, and their size in the picture's own units.
const COLUMNS: u16 = 32;
const SIZE: u16 = 20;
/// Looks that owners are told apart by; those beyond share the last one, and each has a letter as well.
const LOOKS: usize = 8;

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
            told: told(&owners, &shards),
            squares,
            owners,
            width: COLUMNS * SIZE,
            height: LAYOUT.shards.div_ceil(COLUMNS) * SIZE,
        }
    }
}

fn told(owners: &[Owner], shards: &[Shard<'_>]) -> String {
    let parts = owners
        .iter()
        .map(|owner| format!("{} owns {}", owner.name, owner.owns));
    let mut parts: Vec<String> = parts.collect();
    let unowned = shards.iter().filter(|shard| shard.owner.is_none()).count();
    if unowned > 0 {
        parts.push(format!("nobody owns {unowned}"));
    }
    format!("{} shards: {}", shards.len(), parts.join(", "))
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
        let seat = shard.of_owner.map(|told| &told.seat);
        let (mut look, phase) = match (owner, seat) {
            (None, _) => ("none".to_owned(), "nobody owns it"),
            (Some(owner), None) => (
                format!("o{} silent", owner.look),
                "its owner does not answer",
            ),
            (Some(owner), Some(seat)) if seat.grants => (format!("o{}", owner.look), "granting"),
            (Some(owner), Some(_)) => (format!("o{} sync", owner.look), "not granting yet"),
        };
        if is_lost {
            look.push_str(" lost");
        }
        let mut title = format!("shard {}: {phase}", shard.number);
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
        assert!(first.look.ends_with(" silent") && first.title.starts_with("shard 0: its owner"));
        assert!(map.squares[3].look.ends_with(" lost"));
        assert!(
            map.told.starts_with("256 shards: ONE owns "),
            "{}",
            map.told
        );
    }

    #[test]
    fn without_members_nobody_owns_a_shard_and_the_picture_says_so() {
        let map = Map::of(&seen(&[], None), str::to_owned);
        assert!(
            map.squares
                .iter()
                .all(|one| one.letter == '×' && one.look == "none")
        );
        assert_eq!(map.told, "256 shards: nobody owns 256");
    }
}
