//! The checks behind `/readyz`: each can fail it alone.

use std::sync::Arc;
use std::time::Duration;

use actors::gateway::GatewayHandle;
use actors::traffic_manager::TrafficManagerHandle;
use cluster::{Clock, Cluster};
use headgate_http::{Acceptance, Leaving, Readiness};

use super::databases::Databases;
use super::membership::CONTROL_PLANE;
use crate::tls::ServerCertificate;

/// A gateway that did not reach the change log's head for so long is behind: as long as the
/// others wait before they take it for gone (S3).
const BEHIND: Duration = Duration::from_secs(10);

/// Adds what the node is told from outside and cannot do without: a certificate that clients
/// accept now. Everything else in the configuration is in force, or the node did not start.
pub(super) fn configuration(
    readiness: &mut Readiness,
    certificate: &Arc<ServerCertificate>,
    clock: &Clock,
) {
    let (certificate, clock) = (Arc::clone(certificate), clock.clone());
    readiness.add("configuration", move || {
        let now_ms = clock.now_ms();
        certificate.renew(now_ms);
        let problem = certificate.problem(now_ms);
        async move { problem.map_or(Ok(()), Err) }
    });
}

/// Adds whether a node has found the control plane, and whether all members have this node.
pub(super) fn cluster(readiness: &mut Readiness, cluster: &Cluster) {
    let cluster = cluster.clone();
    readiness.add("cluster", move || {
        let found = !cluster.with_role(CONTROL_PLANE).is_empty();
        let problem = "no node of the control plane is connected".to_owned();
        let rivalled = cluster.rivalled();
        async move {
            match rivalled {
                Some(rivalled) => Err(rivalled),
                None => found.then_some(()).ok_or(problem),
            }
        }
    });
}

/// Adds the node's databases, one check each.
pub(super) fn databases(readiness: &mut Readiness, databases: &Databases) {
    let own = [
        ("database.carbon", &databases.carbon),
        ("database.broker", &databases.broker),
    ];
    let control = databases.control.as_ref().map(|control| {
        [
            ("database.apim", &control.apim),
            ("database.shared", &control.shared),
        ]
    });
    for (name, database) in control.into_iter().flatten().chain(own) {
        let database = database.clone();
        readiness.add(name, move || {
            let database = database.clone();
            async move { database.ping().await.map_err(|error| error.to_string()) }
        });
    }
}

/// Adds whether the gateway has applied the change log.
pub(super) fn change_log(readiness: &mut Readiness, gateway: &GatewayHandle) {
    let gateway = gateway.clone();
    readiness.add("change log", move || {
        let outcome = match gateway.unconfirmed_for() {
            None => Err("the gateway has not applied the change log yet".to_owned()),
            Some(since) if since > BEHIND => Err(format!(
                "the gateway has not reached its head for {} s",
                since.as_secs()
            )),
            Some(_) => Ok(()),
        };
        async move { outcome }
    });
}

/// Adds whether a gateway without a traffic manager of its own sees another node's: before that each
/// call of a plan waits in vain.
pub(super) fn traffic_manager(readiness: &mut Readiness, gateway: &GatewayHandle) {
    let gateway = gateway.clone();
    readiness.add("traffic manager", move || {
        let found = gateway.has_traffic_manager();
        let problem = "no traffic manager is connected".to_owned();
        async move { found.then_some(()).ok_or(problem) }
    });
}

/// Adds whether the traffic manager has read the policies that calls are counted by: before that
/// each call waits in vain.
pub(super) fn policies(readiness: &mut Readiness, traffic_manager: &TrafficManagerHandle) {
    let traffic_manager = traffic_manager.clone();
    readiness.add("policies", move || {
        let outcome = if traffic_manager.has_policies() {
            Ok(())
        } else {
            Err("the traffic manager has not read the throttling policies yet".to_owned())
        };
        async move { outcome }
    });
}

/// Adds whether the traffic manager is one of those that are agreed on, and they grant.
pub(super) fn view(readiness: &mut Readiness, traffic_manager: &TrafficManagerHandle) {
    let traffic_manager = traffic_manager.clone();
    readiness.add("agreed view", move || {
        let outcome = traffic_manager.is_serving();
        async move { outcome }
    });
}

/// Adds whether every configured listener accepts, that of the `cluster` among them where there is one, and whether the node stays: one that goes serves on for a while, but is
/// to get no more.
pub(super) fn serving(
    readiness: &mut Readiness,
    (listeners, cluster): (Vec<Acceptance>, Option<Cluster>),
    leaving: &Leaving,
) {
    let leaving = leaving.clone();
    readiness.add("staying", move || {
        let stays = !leaving.is_told();
        async move { stays.then_some(()).ok_or("the node is leaving".to_owned()) }
    });
    readiness.add("listeners", move || {
        let of_nodes = cluster.as_ref().and_then(Cluster::port_problem);
        let of_nodes = of_nodes.map(|problem| format!("cluster.listen: {problem}"));
        let problems = listeners.iter().filter_map(Acceptance::problem);
        let problems: Vec<_> = problems.chain(of_nodes).collect();
        async move {
            if problems.is_empty() {
                Ok(())
            } else {
                Err(problems.join("; "))
            }
        }
    });
}
