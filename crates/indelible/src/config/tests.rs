use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use indelible_http::HttpConfig;
use indelible_model::Limits;
use indelible_service::{Config, Face, Role, Scope};

use super::flags::AllFlags;
use super::list::{Accepts, SETTINGS};
use super::raw::RawConfig;
use super::settings::{LogFormat, Settings, parse_seconds, parse_size};
use crate::args::Cli;
use crate::failure::Failure;

/// Settings from a file's text, environment variables and flags.
fn settings(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, Failure> {
    let mut raw = RawConfig::default();
    raw.file(Path::new("indelible.toml"), file)?;
    raw.environment(|name| environment.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))?;
    raw.flags(&AllFlags { config: None, given: flags.iter().map(|(n, v)| (*n, (*v).to_owned())).collect() });
    Settings::from_raw(&raw)
}

fn refusal(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> String {
    let failure = settings(file, environment, flags).unwrap_err();
    assert_eq!(failure.code(), 2);
    failure.to_string()
}

#[test]
fn names_agree_and_are_unique() {
    let names: BTreeSet<&str> = SETTINGS.iter().map(|s| s.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
    for setting in SETTINGS {
        assert!(setting.flag.is_none_or(|f| f == setting.name.replace('_', "-")), "{}", setting.name);
        assert_eq!(setting.flag.is_none(), matches!(setting.accepts, Accepts::Secret | Accepts::Password | Accepts::DatabaseUrl), "{}", setting.name);
    }
}

#[test]
fn defaults_are_those_of_the_parts() {
    let given = settings("", &[], &[]).unwrap();
    assert_eq!(format!("{:?}", given.service.limits), format!("{:?}", Limits::default()));
    assert_eq!(format!("{:?}", given.service.seal), format!("{:?}", Config::embedded(Path::new("./data")).seal));
    assert_eq!(format!("{:?}", given.http), format!("{:?}", HttpConfig::default()));
    let (ours, theirs) = (given.service, Config::embedded(Path::new("./data")));
    assert_eq!((ours.ingest_budget_bytes, ours.read_budget_bytes, ours.cache_bytes), (theirs.ingest_budget_bytes, theirs.read_budget_bytes, theirs.cache_bytes));
    assert_eq!(ours.api_log_queue_bytes, theirs.api_log_queue_bytes);
    assert_eq!((ours.max_read_secs, ours.workers, ours.auto_migrate), (theirs.max_read_secs, theirs.workers, theirs.auto_migrate));
    assert_eq!(format!("{:?} {:?}", ours.plans, ours.logins), format!("{:?} {:?}", theirs.plans, theirs.logins));
    assert_eq!(format!("{:?} {:?}", ours.database, ours.objects), format!("{:?} {:?}", theirs.database, theirs.objects));
}

#[test]
fn flags_outrank_the_environment_and_that_the_file() {
    let file = "[server]\nlisten = '0.0.0.0:1'\n[limits]\nbulk_events = 10\n[storage]\nseal_bytes = '2MiB'";
    let all = settings(file, &[], &[]).unwrap();
    assert_eq!((all.listen.as_str(), all.service.limits.bulk_events, all.service.seal.seal_bytes), ("0.0.0.0:1", 10, 2 << 20));
    let all = settings(file, &[("INDELIBLE_LISTEN", "0.0.0.0:2"), ("INDELIBLE_BULK_EVENTS", "20"), ("INDELIBLE_SEAL_BYTES", "")], &[("listen", "0.0.0.0:3")]).unwrap();
    assert_eq!((all.listen.as_str(), all.service.limits.bulk_events, all.service.seal.seal_bytes), ("0.0.0.0:3", 20, 2 << 20));
}

#[test]
fn every_setting_has_an_effect() {
    for setting in SETTINGS {
        let text = match setting.accepts {
            Accepts::Address => "127.0.0.2:9".to_owned(),
            Accepts::Path | Accepts::MaybePath => "/other".to_owned(),
            Accepts::Networks => "10.0.0.0/8, ::1".to_owned(),
            Accepts::Origins => "https://app.example.com".to_owned(),
            Accepts::Password => "a password of some length".to_owned(),
            Accepts::PublicUrl => "https://audit.example.com".to_owned(),
            Accepts::Secret => "lp_sk_aaaaaaaaaaaaaaaa".to_owned(),
            Accepts::Text | Accepts::Filter | Accepts::Optional => "debug".to_owned(),
            Accepts::DatabaseUrl => "postgres://other/x".to_owned(),
            Accepts::ObjectsUrl => "s3://other".to_owned(),
            Accepts::Word(words) => words.iter().rfind(|w| **w != setting.default).unwrap().to_string(),
            Accepts::Count(min, max) | Accepts::Size(min, max) | Accepts::Time(min, max) if ["event_bytes", "bulk_bytes", "body_bytes"].contains(&setting.name) => {
                ((min + max) / 2).min(2 << 20).to_string()
            }
            Accepts::Count(_, max) | Accepts::Size(_, max) | Accepts::Time(_, max) => (max - 1).to_string(),
        };
        let name = setting.env();
        // Its number of connections counts with a server only.
        let server = if setting.name == "database_connections" { "postgres://host/x" } else { "" };
        let changed = settings("", &[("INDELIBLE_DATABASE_URL", server), (name.as_str(), text.as_str())], &[]).unwrap();
        let plain = settings("", &[("INDELIBLE_DATABASE_URL", server)], &[]).unwrap();
        assert_ne!(format!("{changed:?}"), format!("{plain:?}"), "{name}={text}");
    }
}

#[test]
fn refusals_name_the_value_its_place_and_what_is_wanted() {
    for (said, wants) in [
        (refusal("[server]\nlisten = '127.0.0.1'", &[], &[]), vec!["server.listen in indelible.toml", "`127.0.0.1`", "HOST:PORT"]),
        (refusal("", &[("INDELIBLE_SEAL_BYTES", "lots")], &[]), vec!["INDELIBLE_SEAL_BYTES", "`lots`", "64MiB"]),
        (refusal("", &[], &[("orphan_grace", "1 year")]), vec!["--orphan-grace", "`1 year`", "24h"]),
        (refusal("[limits]\njson_depth = 1000000", &[], &[]), vec!["limits.json_depth", "from 4 to 256"]),
        (refusal("", &[("INDELIBLE_LOG_FORMAT", "xml")], &[]), vec!["`xml`", "auto, text, json"]),
        (refusal("[limits]\nbulk_bytes = '200MiB'", &[], &[]), vec!["limits.bulk_bytes in indelible.toml is 200MiB", "ingest_budget (default)"]),
        (refusal("[sever]\nlisten = 'x:1'\n[limits]\nbulk_evnts = 1", &[], &[]), vec!["sever", "limits.bulk_evnts"]),
        (refusal("listen = 'x:1'", &[], &[]), vec!["unknown settings: listen", "`listen` stands under [server]"]),
        (refusal("[server]\nlisten = true", &[], &[]), vec!["server.listen must be a text or a whole number"]),
        (refusal("", &[("INDELIBLE_OBJECTS_URL", "gs://x")], &[]), vec!["INDELIBLE_OBJECTS_URL", "`gs://x`", "s3://BUCKET"]),
        (refusal("[server]\nwidget_origins = 'https://a.test/path'", &[], &[]), vec!["server.widget_origins", "`https://a.test/path`", "http://localhost:3000"]),
        (refusal("[server]\ntrusted_proxies = '10.0.0.0/40'", &[], &[]), vec!["server.trusted_proxies", "`10.0.0.0/40`", "10.0.0.0/8"]),
        (refusal("[server", &[], &[]), vec!["indelible.toml is not TOML"]),
    ] {
        for want in wants {
            assert!(said.contains(want), "{want}: {said}");
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let good = settings("", &[("INDELIBLE_BOOTSTRAP_KEY", "lp_sk_0123456789abcdef")], &[]).unwrap();
    assert_eq!(good.bootstrap_key.as_ref().map(|k| k.reveal()), Some("lp_sk_0123456789abcdef"));
    assert!(!format!("{good:?}").contains("0123456789"));
    assert!(!refusal("[server]\nbootstrap_key = 'sesame_open'", &[], &[]).contains("sesame"));
    let good = settings("[cluster]\ndatabase_url = 'postgres://user:sesame@host/x'", &[], &[]).unwrap();
    assert!(!format!("{good:?}").contains("sesame"), "{good:?}");
    assert!(!refusal("[cluster]\ndatabase_url = 'mysql://user:sesame@host/x'", &[], &[]).contains("sesame"));
}

#[test]
fn words() {
    assert_eq!(settings("", &[], &[]).unwrap().log_format, LogFormat::Auto);
    assert_eq!(settings("[log]\nlog_format = 'json'", &[], &[]).unwrap().log_format, LogFormat::Json);
}

#[test]
fn sizes_and_times() {
    for (text, want) in [
        ("0", Some(0)),
        ("67108864", Some(67_108_864)),
        ("64MiB", Some(64 << 20)),
        ("512KB", Some(512_000)),
        ("1 gib", Some(1 << 30)),
        ("2k", Some(2048)),
        ("", None),
        ("MiB", None),
        ("1TB", None),
        ("-1", None),
        ("99999999999999999999", None),
        ("18446744073709551615k", None),
    ] {
        assert_eq!(parse_size(text), want, "{text}");
    }
    for (text, want) in [("90", Some(90)), ("10m", Some(600)), ("24h", Some(86_400)), ("7d", Some(604_800)), ("1w", None), ("1.5h", None)] {
        assert_eq!(parse_seconds(text), want, "{text}");
    }
}

#[test]
fn the_command_line_is_sound_and_serve_lists_every_setting() {
    Cli::command().debug_assert();
    let help = Cli::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
    for setting in SETTINGS {
        assert!(help.contains(&setting.env()), "{}", setting.name);
        assert!(setting.flag.is_none_or(|f| help.contains(&format!("--{f} "))), "{}", setting.name);
    }
    for flag in ["--issuer <TEXT>", "--plan <TEXT>", "--s3-region <TEXT>", "--log <FILTER>"] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn help_names_what_may_be_given() {
    let help = |names: &[&str]| {
        let command = names.iter().fold(Cli::command(), |command, name| command.find_subcommand(name).unwrap().clone());
        command.get_arguments().filter_map(|arg| Some((arg.get_id().to_string(), arg.get_help()?.to_string()))).collect::<BTreeMap<_, _>>()
    };
    let (key, member) = (help(&["key", "create"]), help(&["member", "add"]));
    assert!(Scope::ALL.iter().all(|s| key["scopes"].contains(s.name())), "{}", key["scopes"]);
    assert!(Face::ALL.iter().all(|f| key["face"].contains(f.name())), "{}", key["face"]);
    for help in [&member["role"], &help(&["member", "role"])["role"]] {
        assert!(Role::ALL.iter().all(|r| help.contains(r.name())), "{help}");
    }
}

/// The table of a section in docs/settings.md.
fn table(section: &str) -> String {
    let mut text = "| in the file | flag | environment | accepts | default | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for s in SETTINGS.iter().filter(|s| s.section == section) {
        let accepts = match s.accepts {
            Accepts::Address => "`HOST:PORT`".to_owned(),
            Accepts::Path | Accepts::MaybePath => "a path".to_owned(),
            Accepts::Networks => "addresses, networks".to_owned(),
            Accepts::Origins => "origins, or `*`".to_owned(),
            Accepts::Password => "12 to 1024 bytes".to_owned(),
            Accepts::PublicUrl => "`https://...`".to_owned(),
            Accepts::Secret => "`lp_sk_...`".to_owned(),
            Accepts::Text | Accepts::Filter | Accepts::Optional => "a text".to_owned(),
            Accepts::DatabaseUrl => "`postgres://...`".to_owned(),
            Accepts::ObjectsUrl => "`s3://...`, `file:///...`".to_owned(),
            Accepts::Word(words) => format!("`{}`", words.join("`, `")),
            Accepts::Count(min, max) => format!("{min} to {max}"),
            Accepts::Size(min, max) => format!("{min} to {max} bytes"),
            Accepts::Time(min, max) => format!("{min} to {max} seconds"),
        };
        let flag = s.flag.map_or("none".to_owned(), |f| format!("`--{f}`"));
        let default = if s.default.is_empty() { "none".to_owned() } else { format!("`{}`", s.default) };
        writeln!(text, "| `{}.{}` | {flag} | `{}` | {accepts} | {default} | {} |", s.section, s.name, s.env(), s.about).unwrap();
    }
    text
}

/// `INDELIBLE_UPDATE=1` writes the tables anew.
#[test]
fn the_documentation_lists_every_setting() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut wanted = text.clone();
    let sections: BTreeSet<&str> = SETTINGS.iter().map(|s| s.section).collect();
    for section in sections {
        let (start, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->"));
        let from = wanted.find(&start).unwrap_or_else(|| panic!("docs/settings.md has no {start}")) + start.len();
        let to = from + wanted[from..].find(&end).unwrap_or_else(|| panic!("docs/settings.md has no {end}"));
        wanted.replace_range(from..to, &table(section));
    }
    if std::env::var_os("INDELIBLE_UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == wanted, "docs/settings.md is not current: run this test with INDELIBLE_UPDATE=1 and look at the difference");
}
