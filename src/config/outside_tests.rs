//! A configuration that is nearly one, as an operator's slip makes it: it is read, or the error says where it stands and what would be
//! right; nothing ends the reader by a panic (ADR 0032).

use std::ffi::OsString;
use std::path::Path;

use super::mutants::each_mutant;
use super::*;

const FILE: &str = "# all of it\n[node]\nname = \"gw1\" # kept\nroles = [\"admin\", 'key-manager', \"publisher\", \"devportal\", \"gateway\", \"traffic-manager\"]\ndata_dir = \"d\"\n\n\
    [listen]\nport_offset = 10\ningress_http = \"[::]:8280\"\nmanagement_http = \"off\"\nnames = \"a.example,*.b.example\"\n\
    [cluster]\nlisten = \"127.0.0.1:4371\"\nseeds = \"127.0.0.1:4370\"\nprobe_ms = 500\n[database.apim]\nurl = 'sqlite:a.db'\n\
    [gateway]\nwhen_cut_off = \"refuse\"\nallow_loopback_endpoints = true\n[log]\nfilter = \"info,a::b=debug\"\nformat = \"json\"\n\
    [oauth2]\naccess_token_seconds = 60\nissuer = \"https://k.example/oauth2/token\"\n";
const VARIABLE: &str = "HEADGATE__CLUSTER__SEEDS";

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let flags = Flags {
        config: Some(Path::new("conf/headgate.toml").to_owned()),
        ..Flags::default()
    };
    let pairs = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load_text(&flags, text, pairs)
}

/// Where it stands, and what it is about.
fn is_told(error: &ConfigError) {
    let said = error.to_string();
    let origins = ["conf/headgate.toml:", "environment HEADGATE__", "default: "];
    let has_origin = origins.iter().any(|origin| said.starts_with(origin));
    assert!(has_origin && !error.problem.is_empty(), "{said}");
}

#[test]
fn a_file_or_a_variable_that_is_nearly_right_is_read_or_refused_with_its_place() {
    if let Err(error) = load(FILE, &[]) {
        panic!("a sound file: {error}");
    }
    let (mut read, mut refused) = (0, 0);
    each_mutant(&[FILE.as_bytes()], 1_500, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match load(&text, &[]) {
            Ok(_) => read += 1,
            Err(error) => {
                is_told(&error);
                let lines = text.split('\n').count();
                if let Origin::File(_, line) = error.origin {
                    assert!((1..=lines).contains(&line), "line {line} of {lines}");
                }
                refused += 1;
            }
        }
    });
    assert!(read > 50 && refused > 100, "{read} read, {refused} refused");
    let samples = [
        VARIABLE,
        "HEADGATE__LISTEN__INGRESS_HTTP",
        "127.0.0.1:4370,[::1]:80",
        "10MB",
    ];
    each_mutant(&samples.map(str::as_bytes), 1_500, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for (name, value) in [(&*text, "1"), (VARIABLE, &*text), (samples[1], &*text)] {
            if let Err(error) = load("", &[(name, value)]) {
                is_told(&error);
            }
        }
    });
}
