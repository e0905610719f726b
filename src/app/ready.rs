//! The checks behind `/readyz`: each can fail it alone.

use actors::gateway::GatewayHandle;
use headgate_http::Readiness;

use super::databases::Databases;

/// The checks of an all-in-one node.
pub(super) fn checks(databases: &Databases, gateway: &GatewayHandle) -> Readiness {
    let mut readiness = Readiness::default();
    let named = [
        ("database.apim", &databases.apim),
        ("database.shared", &databases.shared),
        ("database.carbon", &databases.carbon),
        ("database.broker", &databases.broker),
    ];
    for (name, database) in named {
        let database = database.clone();
        readiness.add(name, move || {
            let database = database.clone();
            async move { database.ping().await.map_err(|error| error.to_string()) }
        });
    }
    let gateway = gateway.clone();
    readiness.add("change log", move || {
        let caught_up = gateway.is_caught_up();
        async move {
            if caught_up {
                Ok(())
            } else {
                Err("the gateway has not applied the change log yet".to_owned())
            }
        }
    });
    readiness
}
