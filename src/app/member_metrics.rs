//! What `/metrics` tells of other nodes: members, probes, asks, followers of the change log.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actors::change_feed::ChangeFeedHandle;
use cluster::{Cluster, Health, KindCounts};

use super::metrics::{gauge, kind};

/// The states of a member, by the words that stand for them.
const STATES: [(Health, &str); 4] = [
    (Health::Unmet, "unmet"),
    (Health::Up, "up"),
    (Health::Suspect, "suspect"),
    (Health::Down, "down"),
];

/// Followers that are told of one by one; more than a cluster has.
const FOLLOWERS_MOST: usize = 128;

/// All of it.
pub(super) fn write(text: &mut String, cluster: &Cluster, feed: &ChangeFeedHandle) {
    members(text, cluster);
    probes(text, cluster);
    asks(text, cluster);
    followers(text, feed);
}

fn members(text: &mut String, cluster: &Cluster) {
    let members = cluster.members();
    let name = "headgate_cluster_members";
    kind(text, name, "gauge", "Nodes by state, this one among them.");
    for (health, state) in STATES {
        let others = members.iter().filter(|member| member.health == health);
        // A node is up to itself.
        let count = others.count() + usize::from(health == Health::Up);
        let _ = writeln!(text, "{name}{{state=\"{state}\"}} {count}");
    }
    let leaving = members.iter().filter(|member| member.leaving).count();
    let help = "Members that have said that they are about to go.";
    gauge(text, "headgate_cluster_members_leaving", help, leaving);
    let name = "headgate_cluster_transitions_total";
    kind(text, name, "counter", "Changes of members' states.");
    for (health, state) in STATES.into_iter().skip(1) {
        let count = cluster.counters().transitions.count_of(health);
        let _ = writeln!(text, "{name}{{to=\"{state}\"}} {count}");
    }
}

fn probes(text: &mut String, cluster: &Cluster) {
    let counters = cluster.counters();
    for (name, help, count) in [
        (
            "headgate_cluster_probes_total",
            "Probes of members that were sent.",
            &counters.probes,
        ),
        (
            "headgate_cluster_probes_failed_total",
            "Probes that got no answer.",
            &counters.probes_unanswered,
        ),
        (
            "headgate_cluster_asks_turned_down_total",
            "Asks of other nodes that were not understood, or too many.",
            &counters.refused,
        ),
        (
            "headgate_cluster_bulk_asks_total",
            "Asks for what is large, over connections of their own.",
            &counters.bulk_asks,
        ),
        (
            "headgate_cluster_bulk_asks_beside_probes_total",
            "Asks for what is large that went over the common connection, for want of one of their own.",
            &counters.bulk_beside,
        ),
        (
            "headgate_cluster_bulk_connections_total",
            "Connections for what is large that were opened.",
            &counters.bulk_dialed,
        ),
    ] {
        kind(text, name, "counter", help);
        let _ = writeln!(text, "{name} {}", count.load(Ordering::Relaxed));
    }
    let name = "headgate_cluster_probe_duration_seconds";
    kind(text, name, "histogram", "From a probe to its answer.");
    let times = &counters.probe_times;
    for (bound_ms, count) in times.buckets() {
        let bound = Duration::from_millis(bound_ms).as_secs_f64();
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
    }
    let (count, sum) = times.total();
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum {}", sum.as_secs_f64());
    let _ = writeln!(text, "{name}_count {count}");
}

fn asks(text: &mut String, cluster: &Cluster) {
    let kinds = cluster.counters().kinds.list();
    let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let mut series = |name: &str, help: &str, rows: &dyn Fn(&KindCounts) -> Vec<(String, u64)>| {
        kind(text, name, "counter", help);
        for (of, counts) in &kinds {
            for (labels, count) in rows(counts) {
                let _ = writeln!(text, "{name}{{kind=\"{of}\"{labels}}} {count}");
            }
        }
    };
    series(
        "headgate_cluster_asks_sent_total",
        "Asks that were sent to other nodes.",
        &|counts| vec![(String::new(), read(&counts.sent))],
    );
    series(
        "headgate_cluster_asks_ended_total",
        "What came of them.",
        &|counts| {
            let outcome = |word: &str| format!(",outcome=\"{word}\"");
            vec![
                (outcome("answered"), read(&counts.answered)),
                (outcome("refused"), read(&counts.refused)),
                (outcome("given_up"), read(&counts.given_up)),
            ]
        },
    );
    series(
        "headgate_cluster_asks_served_total",
        "Asks of other nodes that were served.",
        &|counts| vec![(String::new(), read(&counts.served))],
    );
    spoken(text, cluster);
    let (asks, of_asks, of_answers) = cluster.under_way();
    let help = "Asks under way to other nodes.";
    gauge(text, "headgate_cluster_asks_in_flight", help, asks);
    let name = "headgate_cluster_bytes_in_flight";
    let help = "Bytes on their way to other nodes that may not have taken them yet.";
    kind(text, name, "gauge", help);
    let _ = writeln!(text, "{name}{{of=\"asks\"}} {of_asks}");
    let _ = writeln!(text, "{name}{{of=\"answers\"}} {of_answers}");
}

fn spoken(text: &mut String, cluster: &Cluster) {
    let counters = cluster.counters();
    let name = "headgate_cluster_protocol_messages_total";
    let help = "Asks and probes between nodes by the version of the protocol that both speak.";
    kind(text, name, "counter", help);
    for (way, counts) in [("sent", &counters.sent_in), ("served", &counters.served_in)] {
        for (version, count) in counts.list() {
            let labels = format!("way=\"{way}\",protocol=\"{version}\"");
            let _ = writeln!(text, "{name}{{{labels}}} {count}");
        }
    }
}

fn followers(text: &mut String, feed: &ChangeFeedHandle) {
    let Some(behind) = feed.behind() else { return };
    let name = "headgate_follower_behind_changes";
    let help =
        "Changes that a follower of the change log has yet to apply, as this node has heard.";
    kind(text, name, "gauge", help);
    for (follower, changes) in behind.into_iter().take(FOLLOWERS_MOST) {
        // What others say of themselves must not end a label.
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.@".contains(*c);
        let follower: String = follower.chars().filter(is_plain).collect();
        let _ = writeln!(text, "{name}{{follower=\"{follower}\"}} {changes}");
    }
}
