//! The checks behind `/readyz`: each can fail it alone.

use headgate_http::Readiness;

use super::databases::Databases;

/// The checks of an all-in-one node.
pub(super) fn checks(databases: &Databases) -> Readiness {
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
    readiness
}
