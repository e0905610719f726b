//! What a server must promise of a commit (C1).

use super::{create, run, server};

#[tokio::test]
async fn commits_are_on_the_servers_disk_whatever_its_settings_say() {
    let Some(server) = server() else {
        return;
    };
    let url = create(&server, "durable").await;
    for (asked, had) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        // It waits for more.
        ("remote_apply", "remote_apply"),
    ] {
        let url = format!("{url}?options=-c%20synchronous_commit%3D{asked}");
        let apim = crate::apim::open(&url).await.unwrap();
        // More than one connection of the pool.
        let first = apim.write("test.durable").await.unwrap();
        for mut write in [apim.write("test.durable").await.unwrap(), first] {
            let shown = sqlx::query("SELECT current_setting('synchronous_commit') AS it");
            let row = write.optional(shown).await.unwrap().unwrap();
            let shown: String = sqlx::Row::try_get(&row, "it").unwrap();
            assert_eq!(shown, had, "{asked}");
        }
        apim.close().await;
    }
    let name = url.rsplit_once('/').unwrap().1;
    run(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
}
