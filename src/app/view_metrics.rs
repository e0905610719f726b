//! What `/metrics` tells of the agreed view, as this node knows it.

use actors::agreed_view::{AgreedView, Latest};
use domain::view::Phase;

use super::metrics::gauge;

/// All of it; zeros before there is a view.
pub(super) fn write(text: &mut String, agreed: &AgreedView) {
    let Latest { view, voters, .. } = agreed.latest();
    let is_active = view.entries > 0 && view.phase == Phase::Active;
    for (name, help, value) in [
        (
            "headgate_view_epoch",
            "Epoch of the view of traffic managers that this node knows.",
            view.epoch.number() as f64,
        ),
        (
            "headgate_view_active",
            "Whether that view is active, so that its members grant.",
            f64::from(u8::from(is_active)),
        ),
        (
            "headgate_view_members",
            "Traffic managers that own shards by it.",
            view.members.len() as f64,
        ),
        (
            "headgate_view_voters",
            "Nodes that vote on views, as far as this node knows.",
            voters.len() as f64,
        ),
        (
            "headgate_view_lost_shards",
            "Shards of which something is lost that has neither come back nor been given up.",
            lost(&view) as f64,
        ),
    ] {
        gauge(text, name, help, value);
    }
}

/// A shard may be lost several times.
fn lost(view: &domain::view::View) -> usize {
    let mut shards: Vec<u16> = view.lost.iter().map(|loss| loss.shard).collect();
    shards.sort_unstable();
    shards.dedup();
    shards.len()
}

#[cfg(test)]
mod tests {
    use domain::view::{Entry, Epoch, Life, Loss, View};

    use super::*;

    #[test]
    fn metrics_tell_of_the_view_its_members_and_how_many_shards_are_lost() {
        let agreed = AgreedView::new();
        let told = |agreed: &AgreedView| {
            let mut text = String::new();
            write(&mut text, agreed);
            text
        };
        assert!(told(&agreed).contains("\nheadgate_view_active 0\n"));
        let at = |index| Epoch::new(1, index).unwrap();
        let loss = |shard| Loss {
            shard,
            holders: vec!["b".to_owned()],
            t0_ms: 5,
            epoch: at(1),
            held: at(0),
            is_mixed: false,
        };
        let mut view = View::default();
        let voters = ["a", "b", "c"].map(str::to_owned).to_vec();
        let sync = Entry::Sync {
            members: vec![Life::new("a", 1), Life::new("b", 1)],
            sources: Vec::new(),
            voters: voters.clone(),
        };
        view.apply(at(1), sync);
        let active = Entry::Active {
            of: at(1),
            t0_ms: None,
            lost: vec![loss(3), loss(3), loss(4)],
            found: Vec::new(),
        };
        view.apply(at(2), active);
        agreed.learn(&actors::agreed_view::message::Agreed {
            view: Some(Box::new(view)),
            voters,
            clock_ms: None,
            voters_at: None,
            right_ms: 0,
        });
        let told = told(&agreed);
        for line in [
            format!("headgate_view_epoch {}", at(1).number()),
            "headgate_view_active 1".to_owned(),
            "headgate_view_members 2".to_owned(),
            "headgate_view_voters 3".to_owned(),
            "headgate_view_lost_shards 2".to_owned(),
        ] {
            assert!(told.lines().any(|told| told == line), "{line} in\n{told}");
        }
    }
}
