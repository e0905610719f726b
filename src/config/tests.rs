//! Configuration as an operator meets it.

use std::net::SocketAddr;
use std::path::Path;

use super::*;

/// With a file of this name.
fn named(file: &Path) -> Flags {
    Flags {
        config: Some(file.to_owned()),
        ..Flags::default()
    }
}

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let pairs = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load_text(&named(Path::new("conf/headgate.toml")), toml, pairs)
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    let error = load("[listen]\nmanagment = \"127.0.0.1:1\"\n", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conf/headgate.toml:2: listen.managment: unknown key, did you mean listen.management?"
    );
}

#[test]
fn environment_wins_over_the_file_and_each_value_knows_its_origin() {
    let config = load(
        "[oauth2]\naccess_token_seconds = 60\n[node]\nname = \"gw\"\n",
        &[
            ("HEADGATE__OAUTH2__ACCESS_TOKEN_SECONDS", "120"),
            ("PATH", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.oauth2.access_token_seconds, 120);
    let origin = |key: &str| {
        let found = config.effective.iter().find(|value| value.key == key);
        found.unwrap().origin.to_string()
    };
    assert_eq!(
        origin("oauth2.access_token_seconds"),
        "environment HEADGATE__OAUTH2__ACCESS_TOKEN_SECONDS"
    );
    assert_eq!(origin("node.name"), "conf/headgate.toml:4");
    assert_eq!(origin("log.filter"), "default");
}

#[test]
fn carbon_and_broker_refuse_a_location() {
    for own in ["carbon", "broker"] {
        let error = load(&format!("[database.{own}]\nurl = \"sqlite:x\"\n"), &[]).unwrap_err();
        assert!(error.to_string().contains("the node's own"), "{error}");
    }
}

#[test]
fn without_configuration_management_is_this_machines_and_the_gateway_is_everybodys() {
    let config = load("", &[]).unwrap();
    let listen = &config.listen;
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(listen.management, address("127.0.0.1:9443"));
    assert_eq!(listen.management_http, None, "9763 is off");
    assert_eq!(listen.ingress_https, Some(address("[::]:8243")));
    assert_eq!(listen.ingress_http, Some(address("[::]:8280")));
    assert_eq!((listen.port_offset, config.cluster.listen), (0, None));
    assert!(!config.gateway.allow_loopback_endpoints);
    assert!(!config.cluster.plaintext);
}

#[test]
fn the_offset_shifts_every_port_but_zero_and_never_beyond_the_last() {
    let config = load(
        "[listen]\nport_offset = 7\ningress_http = \"127.0.0.1:0\"\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.listen.management.port(), 9450);
    assert_eq!(config.listen.ingress_http.unwrap().port(), 0);
    assert!(config.oauth2.issuer.contains(":9450/"));
    assert!(load("[listen]\nport_offset = 60000\n", &[]).is_err());
}

#[test]
fn gateways_are_reached_at_their_ports_or_where_it_is_said_and_nothing_else_is_an_address() {
    let read = |text: &str| {
        let config = load(&format!("[gateway]\nhttps_endpoint = \"{text}\"\n"), &[]);
        config.map(|config| config.gateway.https_endpoint)
    };
    let at = |host: &str, port| Endpoint::At {
        host: host.to_owned(),
        port,
    };
    for (text, expected) in [
        ("", Endpoint::Listened),
        ("off", Endpoint::Off),
        ("https://apis.example.com", at("apis.example.com", 443)),
        (
            "https://APIs.example.com:8443/",
            at("apis.example.com", 8443),
        ),
        ("https://[2001:db8::1]", at("[2001:db8::1]", 443)),
        ("https://[2001:db8::1]:8443", at("[2001:db8::1]", 8443)),
    ] {
        assert_eq!(read(text).unwrap(), expected, "{text}");
    }
    for text in [
        "apis.example.com",
        "http://apis.example.com",
        "https://",
        "https://apis.example.com/pizza",
        "https://apis.example.com:0",
        "https://apis.example.com:x",
        "https://[::x]",
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("https://apis.example.com or off"), "{error}");
    }
}

#[test]
fn the_issuer_is_where_management_is_configured_to_listen() {
    let config = load("[listen]\nmanagement = \"127.0.0.1:7443\"\n", &[]).unwrap();
    assert_eq!(config.oauth2.issuer, "https://localhost:7443/oauth2/token");
}

#[test]
fn a_variable_of_ours_that_is_no_text_is_named_and_another_is_passed_over() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = || OsString::from_vec(vec![0xff]);
    let read = |name: &str| {
        let mut source = Source::default();
        source.environment(std::iter::once((OsString::from(name), odd())))
    };
    assert_eq!(read("LS_COLORS"), Ok(()));
    let error = read("HEADGATE__NODE__NAME").unwrap_err().to_string();
    assert!(error.contains("HEADGATE__NODE__NAME: node.name"), "{error}");
}

#[test]
fn a_relative_data_directory_in_a_file_lies_beside_that_file() {
    let config = load("[node]\ndata_dir = \"data\"\n", &[]).unwrap();
    assert_eq!(config.node.data_dir, Path::new("conf/data"));
}

#[test]
fn wrong_values_name_the_key_and_what_would_be_right() {
    for (toml, key) in [
        ("[node]\nroles = \"gatway\"\n", "node.roles"),
        ("[log]\nformat = 3\n", "log.format"),
        ("[usage]\nretention_days = 0\n", "usage.retention_days"),
        ("[traffic_manager]\nkeys = 10\n", "traffic_manager.keys"),
        ("[traffic_manager]\nhold_s = 4\n", "traffic_manager.hold_s"),
        ("[listen]\nport_offset = 0x10\n", "listen.port_offset"),
        ("[gateway]\nbody_limit = 0o17\n", "gateway.body_limit"),
        (
            "[database.apim]\nurl = \"mysql://x\"\n",
            "database.apim.url",
        ),
        ("[gateway]\nbody_limit = \"ten\"\n", "gateway.body_limit"),
        (
            "[oauth2]\nsigning_algorithm = \"none\"\n",
            "oauth2.signing_algorithm",
        ),
        ("[node]\nname = \"a b\"\n", "node.name"),
    ] {
        let error = load(toml, &[]).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn a_database_password_is_not_shown() {
    let config = load(
        "[database.apim]\nurl = \"postgres://hg:sesame@db/apim\"\n",
        &[],
    )
    .unwrap();
    assert_eq!(
        config.databases.unwrap().apim,
        "postgres://hg:sesame@db/apim"
    );
    let shown = config
        .effective
        .iter()
        .find(|value| value.key == "database.apim.url");
    assert_eq!(shown.unwrap().value, "postgres://hg:***@db/apim");
    let config = load(
        "[database.apim]\nurl = \"postgres://db/apim?user=hg&password=sesame&sslmode=require\"\n",
        &[],
    )
    .unwrap();
    let shown: String = config.effective.iter().map(|v| v.value.as_str()).collect();
    assert!(shown.contains("postgres://db/apim?user=hg&password=***&sslmode=require"));
}

#[test]
fn authorities_of_upstreams_are_read_beside_the_file_and_what_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::default();
    let authority = authority.self_signed(&key).unwrap();
    std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.path().join("odd.pem"), "no certificate").unwrap();
    let load = |name: &str| {
        let file = dir.path().join("headgate.toml");
        let text = format!("[gateway]\nupstream_ca = \"{name}\"\n");
        Config::load_text(&named(&file), &text, std::iter::empty())
    };
    assert_eq!(
        load("ca.pem").unwrap().gateway.upstream_authorities.len(),
        1
    );
    assert_eq!(load("").unwrap().gateway.upstream_authorities.len(), 0);
    for wrong in ["odd.pem", "nowhere.pem"] {
        let error = load(wrong).unwrap_err().to_string();
        assert!(
            error.contains("headgate.toml:2: gateway.upstream_ca"),
            "{error}"
        );
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn what_would_start_and_never_work_is_refused_with_what_to_set() {
    for (toml, key, words) in [
        (
            "[cluster]\nlisten = \"0.0.0.0:4370\"\n",
            "cluster.listen",
            "cluster.advertise",
        ),
        (
            "[cluster]\nlisten = \"[::]:4370\"\nseeds = \"cp1:4370\"\n",
            "cluster.listen",
            "cluster.advertise",
        ),
        (
            "[cluster]\nlisten = \"[::]:4370\"\nadvertise = \"0.0.0.0:4370\"\n",
            "cluster.advertise",
            "dial",
        ),
        (
            "[cluster]\nlisten = \"off\"\nseeds = \"cp1:4370\"\n",
            "cluster.listen",
            "cluster.seeds",
        ),
        ("[node]\nroles = \"gateway\"\n", "node.roles", "--seeds"),
        (
            "[node]\nroles = \"traffic-manager\"\n",
            "node.roles",
            "key-manager",
        ),
        (
            "[node]\nroles = \"gateway,key-manager\"\n",
            "node.roles",
            "traffic-manager",
        ),
        (
            "[node]\nroles = \"publisher,admin\"\n",
            "node.roles",
            "key-manager",
        ),
    ] {
        let error = load(toml, &[]).unwrap_err().to_string();
        assert!(error.contains(&format!(": {key}: ")), "{error}");
        assert!(error.contains(words), "{error}");
    }
    for toml in [
        "[cluster]\nlisten = \"0.0.0.0:4370\"\nadvertise = \"cp1:4370\"\n",
        "[cluster]\nlisten = \"10.0.0.5:4370\"\nplaintext = true\n",
        "[cluster]\nlisten = \"10.0.0.5:4370\"\n",
        "[node]\nroles = \"gateway\"\n[cluster]\nseeds = \"cp1:4370\"\n",
        "[node]\nroles = \"traffic-manager\"\n[cluster]\nlisten = \"127.0.0.1:4370\"\n",
        "[node]\nroles = \"publisher,devportal,admin,key-manager\"\n",
    ] {
        load(toml, &[]).unwrap();
    }
}

#[test]
fn the_clusters_port_moves_with_the_offset_unless_it_is_said_on_the_command_line() {
    let port = |toml: &str| {
        let config = load(&format!("{toml}seeds = \"cp1:4370\"\n"), &[])?;
        Ok::<_, ConfigError>(config.cluster.listen.unwrap().port())
    };
    let offset = "[listen]\nport_offset = 9\n[cluster]\n";
    assert_eq!(port(offset).unwrap(), 4379);
    let given = format!("{offset}listen = \"127.0.0.1:4400\"\n");
    assert_eq!(port(&given).unwrap(), 4409);
    let flags = Flags {
        listen_cluster: Some("127.0.0.1:4400".to_owned()),
        port_offset: Some(9),
        ..Flags::default()
    };
    let config = Config::load(&flags, std::iter::empty()).unwrap();
    assert_eq!(config.cluster.listen.unwrap().port(), 4400);
    assert_eq!(config.listen.management.port(), 9452);
    // What others are told stays: the port of before the offset would lead them nowhere.
    let told =
        |port: u16| format!("{offset}listen = \"0.0.0.0:4400\"\nadvertise = \"cp1:{port}\"\n");
    assert_eq!(port(&told(4409)).unwrap(), 4409);
    let error = port(&told(4400)).unwrap_err().to_string();
    assert!(
        error.contains("cluster.advertise") && error.contains("0.0.0.0:4409"),
        "{error}"
    );
    // Every other port is given or off, and small enough.
    let beyond = "[listen]\nport_offset = 62000\nmanagement = \"127.0.0.1:1\"\n\
                  ingress_http = \"off\"\ningress_https = \"off\"\n[cluster]\n";
    let error = port(beyond).unwrap_err().to_string();
    assert!(error.contains("cluster.listen: port 4370"), "{error}");
    let help = <Flags as clap::Args>::augment_args(clap::Command::new("headgate"));
    let help = help.clone().render_help().to_string();
    assert!(help.contains("not to that of --listen-cluster"), "{help}");
}

#[test]
fn tls_between_nodes_is_auto_or_always_and_not_beside_plaintext() {
    for (lines, words) in [
        ("tls = \"never\"", "cluster.tls: must be auto or always"),
        ("join = \"hgjoin_QUJD\"", "headgate cluster token"),
        (
            "listen = \"10.0.0.5:4370\"\nplaintext = true\ntls = \"always\"",
            "cluster.plaintext: is true, and cluster.tls",
        ),
    ] {
        let error = load(&format!("[cluster]\n{lines}\n"), &[]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_join_token_makes_a_member_and_is_shown_nowhere() {
    let token = ::cluster::JoinToken::generate("cp1:4370", [7; 32]).unwrap();
    let text = token.to_text();
    let toml = format!("[node]\nroles = \"gateway\"\n[cluster]\njoin = \"{text}\"\n");
    let config = load(&toml, &[]).unwrap();
    assert_eq!(config.cluster.join, Some(token));
    assert_eq!(config.cluster.listen.unwrap().port(), 4370);
    assert!(!format!("{config:?}").contains(&text), "not in any form");
    let mangled = load(&toml.replace(&text, &text[..40]), &[]).unwrap_err();
    assert!(!mangled.to_string().contains(&text[..40]), "{mangled}");
    let off = load(&toml.replace("join =", "listen = \"off\"\njoin ="), &[]);
    assert!(off.unwrap_err().to_string().contains("cluster.join"));
}

#[test]
fn a_file_of_a_join_token_makes_a_member_and_one_that_has_none_says_what_to_put_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let toml = format!("[node]\nroles = \"gateway\"\n[cluster]\njoin_file = {file:?}\n");
    let read = |toml: &str| load(toml, &[]).unwrap().cluster.token_of_file();
    let told = read(&toml).unwrap_err();
    let named = format!("cluster.join_file: {}: ", file.display());
    assert!(told.starts_with(&named), "{told}");
    assert!(told.contains("headgate cluster token --out"), "{told}");
    let near = ::cluster::JoinToken::generate("cp1:4370", [7; 32]).unwrap();
    std::fs::write(&file, format!("{}\n", near.to_text())).unwrap();
    assert_eq!(read(&toml), Ok(Some(near.clone())));
    let half = near.to_text()[..40].to_owned();
    std::fs::write(&file, &half).unwrap();
    let told = read(&toml).unwrap_err();
    assert!(told.starts_with(&named) && !told.contains(&half), "{told}");
    for empty in ["", "\n"] {
        std::fs::write(&file, empty).unwrap();
        let told = read(&toml).unwrap_err();
        let empty = format!("{named}it is empty: put the token there that headgate cluster token");
        assert!(told.starts_with(&empty), "{told}");
    }
    let far = ::cluster::JoinToken::generate("10.0.0.1:4370", [7; 32]).unwrap();
    std::fs::write(&file, far.to_text()).unwrap();
    let told = read(&toml).unwrap_err();
    assert!(told.starts_with("cluster.listen: "), "{told}");
    let off = load(
        &toml.replace("join_file", "listen = \"off\"\njoin_file"),
        &[],
    );
    assert!(off.unwrap_err().to_string().contains("cluster.join_file"));
}

#[test]
fn nodes_of_other_machines_are_refused_where_they_could_never_dial_back() {
    for (lines, other) in [
        ("seeds = \"127.0.0.1:1,10.0.0.1:4370\"", "10.0.0.1:4370"),
        (
            "listen = \"[::1]:4370\"\nseeds = \"[2001:db8::1]:4370\"",
            "[2001:db8::1]:4370",
        ),
    ] {
        let error = load(&format!("[cluster]\n{lines}\n"), &[]).unwrap_err();
        let words =
            format!("and {other} is another: listen on an address that the others can dial");
        assert!(error.to_string().contains(&words), "{error}");
        assert!(error.to_string().contains(": cluster.listen: "), "{error}");
    }
    for lines in [
        "seeds = \"127.0.0.1:4370,[::1]:4371\"",
        "seeds = \"10.0.0.1:4370\"\nadvertise = \"gw1:4370\"",
        "seeds = \"10.0.0.1:4370\"\nlisten = \"10.0.0.4:4370\"",
    ] {
        load(&format!("[cluster]\n{lines}\n"), &[]).unwrap();
    }
    let token = ::cluster::JoinToken::generate("10.0.0.1:4370", [7; 32]).unwrap();
    let text = token.to_text();
    let toml = format!("[node]\nroles = \"gateway\"\n[cluster]\njoin = \"{text}\"\n");
    let error = load(&toml, &[]).unwrap_err().to_string();
    assert!(error.contains("10.0.0.1:4370 is another"), "{error}");
    assert!(!error.contains(&text), "{error}");
    load(&format!("{toml}listen = \"10.0.0.4:4370\"\n"), &[]).unwrap();
}

#[test]
fn an_unknown_table_is_told_as_one_and_nothing_unlike_is_suggested() {
    let told = |toml: &str| load(toml, &[]).unwrap_err().to_string();
    assert_eq!(
        told("[gatewy]\nx = 1\n"),
        "conf/headgate.toml:2: gatewy.x: unknown table gatewy, did you mean gateway?"
    );
    assert_eq!(
        told("[something]\nelse = 1\n"),
        "conf/headgate.toml:2: something.else: unknown table something"
    );
    assert_eq!(
        told("[gateway]\nzzzzzzzzzzzz = 1\n"),
        "conf/headgate.toml:2: gateway.zzzzzzzzzzzz: unknown key"
    );
}

#[test]
fn the_manual_has_every_setting_with_its_default_and_no_other() {
    let page = include_str!("../../docs/configuration.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut told: Vec<(&str, &str)> = rows
        .map(|row| {
            let (key, rest) = row.split_once("` | ").unwrap();
            (key, rest.split_once(" | ").unwrap().0)
        })
        .collect();
    told.sort_unstable();
    let config = load("", &[]).unwrap();
    let known = config.effective.iter();
    let mut known: Vec<(&str, &str)> = known
        .map(|one| (one.key.as_str(), one.value.as_str()))
        .collect();
    known.sort_unstable();
    let keys = |all: &[(&str, &str)]| -> Vec<String> {
        all.iter().map(|(key, _)| (*key).to_owned()).collect()
    };
    assert_eq!(keys(&told), keys(&known));
    for ((key, told), (_, default)) in told.into_iter().zip(known) {
        // One that depends on others is told in words.
        let told = told
            .strip_prefix('`')
            .and_then(|told| told.strip_suffix('`'));
        let told = told.filter(|told| !told.contains('`'));
        assert!(
            told.is_none_or(|told| told == default),
            "{key}: {told:?} is {default}"
        );
    }
}
