//! The rules of docs/ARCHITECTURE.md, checked on the sources as text. Every check is a function of text that has a test of its own below, so that it is known to bite.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::root;
use crate::rust_text::split;

/// Which of our crates a crate may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("proof", &["model"]),
    ("archive", &["model", "proof"]),
    ("encode", &["model", "archive"]),
    ("store", &["model"]),
    ("service", &["model", "proof", "archive", "encode", "store"]),
    ("http", &["model", "service"]),
    ("indelible", &["model", "proof", "archive", "encode", "store", "service", "http"]),
];

/// Where a foreign crate (its name, or the start of it with `*`) may be a dependency.
const HOMES: &[(&str, &[&str])] = &[
    ("arrow*", &["archive", "encode"]),
    ("parquet", &["archive", "encode"]),
    ("object_store", &["archive"]),
    ("sqlx*", &["store"]),
    ("rusqlite", &[]),
    ("axum*", &["http"]),
    ("hyper*", &["http"]),
    ("http*", &["http"]),
    ("tower*", &["http"]),
    ("utoipa*", &["http"]),
    ("clap*", &["indelible"]),
    ("indicatif", &["indelible"]),
];

/// Words that the code of a crate must not contain outside of the crates named.
const WORDS: &[(&[&str], &[&str], &str)] = &[
    (&["arrow_", "parquet::", "RecordBatch"], &["archive", "encode"], "Arrow and Parquet stay inside archive and encode"),
    (&["sqlx", "SqlitePool", "PgPool"], &["store"], "the database is known to store only"),
    (&["axum", "hyper", "StatusCode", "HeaderMap", "HeaderName", "http::"], &["http", "indelible"], "no HTTP below http"),
];

const DIALECTS: &[&str] = &["logproof", "aitronos", "loyaltydog", "voucherify"];
const MAX_LINES: usize = 600;
const MAX_BYTES: u64 = 500_000;

/// A file of the checkout: its path from the root, with forward slashes, and its text.
struct File {
    path: String,
    text: String,
}

/// The files that git tracks or would track.
fn tracked() -> Vec<String> {
    let out = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root()).output().expect("git");
    assert!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    let mut paths: Vec<String> = out.stdout.split(|b| *b == 0).filter(|p| !p.is_empty()).map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    paths.retain(|p| root().join(p).is_file());
    paths.sort();
    paths.dedup();
    paths
}

fn files(wanted: impl Fn(&str) -> bool) -> Vec<File> {
    let read = |path: String| File { text: fs::read_to_string(root().join(&path)).expect("UTF-8 text"), path };
    tracked().into_iter().filter(|p| wanted(p)).map(read).collect()
}

/// The production sources: `crates/*/src` without what is compiled for tests only.
fn sources() -> Vec<File> {
    let for_tests = |p: &str| ["/tests.rs", "/testing.rs", "/conformance.rs"].iter().any(|end| p.ends_with(end)) || p.contains("/tests/") || p.contains("/conformance/");
    files(|p| p.starts_with("crates/") && p.contains("/src/") && p.ends_with(".rs") && !for_tests(p))
}

/// The crate that a path belongs to.
fn crate_of(path: &str) -> &str {
    path.strip_prefix("crates/").and_then(|p| p.split('/').next()).unwrap_or_default()
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let found = files(|p| p.starts_with("crates/") && p.ends_with("/Cargo.toml"));
    found.iter().map(|f| (crate_of(&f.path).to_owned(), f.text.parse().expect("TOML"))).collect()
}

fn none(problems: impl Iterator<Item = String>) {
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The names under a manifest's `[dependencies]`.
fn dependencies(manifest: &toml::Table) -> Vec<&str> {
    manifest.get("dependencies").and_then(|d| d.as_table()).map(|d| d.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn is_named(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

fn arrow_problems(name: &str, manifest: &toml::Table) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(n, _)| *n == name) else {
        return vec![format!("crates/{name} has no place in the architecture: add it to docs/ARCHITECTURE.md and to this test")];
    };
    let mut problems = Vec::new();
    for dependency in dependencies(manifest) {
        if let Some(ours) = dependency.strip_prefix("indelible-") {
            if !allowed.contains(&ours) {
                problems.push(format!("crates/{name} must not depend on crates/{ours}"));
            }
        } else if let Some((_, homes)) = HOMES.iter().find(|(pattern, _)| is_named(dependency, pattern))
            && !homes.contains(&name)
        {
            problems.push(format!("crates/{name} must not depend on {dependency}; it belongs to {homes:?}"));
        }
    }
    problems
}

fn word_problems(path: &str, text: &str) -> Vec<String> {
    let code = split(text).code;
    let here = crate_of(path);
    let outside = WORDS.iter().filter(|(_, homes, _)| !homes.contains(&here));
    outside.flat_map(|(words, _, why)| words.iter().filter(|w| has_word(&code, w)).map(move |w| format!("{path}: `{w}`: {why}"))).collect()
}

/// True if `word` stands in `code` and is not the end of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn sql_problems(path: &str, text: &str) -> Vec<String> {
    if crate_of(path) == "store" {
        return Vec::new();
    }
    let is_sql = |literal: &&String| {
        let upper = literal.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        let both = |start: &str, then: &str| upper.starts_with(start) && upper.contains(then);
        both("SELECT ", " FROM ")
            || both("UPDATE ", " SET ")
            || both("WITH ", " AS (")
            || ["INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE ", "ALTER TABLE ", "DROP TABLE ", "PRAGMA "].iter().any(|s| upper.starts_with(s))
    };
    split(text).strings.iter().filter(is_sql).map(|s| format!("{path}: SQL outside of store: {s:?}")).collect()
}

fn dialect_problems(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("crates/http/src/dialects/") else { return Vec::new() };
    let here = inside.split(['/', '.']).next().unwrap_or_default();
    if !DIALECTS.contains(&here) {
        return Vec::new();
    }
    let code = split(text).code;
    let mut problems: Vec<String> =
        DIALECTS.iter().filter(|d| **d != here && has_word(&code, &format!("{d}::"))).map(|d| format!("{path}: a dialect must not import {d}")).collect();
    problems.extend(["indelible_store", "indelible_archive"].iter().filter(|c| code.contains(**c)).map(|c| format!("{path}: a dialect must not touch {c}")));
    problems
}

fn length_problem(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| format!("{path}: {lines} lines; at most {MAX_LINES}"))
}

/// A file starts with its promise; a crate's root also says what the crate never does.
fn header_problem(path: &str, text: &str) -> Option<String> {
    let header: String = text.lines().take_while(|l| l.starts_with("//!")).collect();
    let is_root = path.ends_with("/src/lib.rs") || path == "crates/indelible/src/main.rs";
    if header.is_empty() {
        Some(format!("{path}: starts without a header (//!)"))
    } else if is_root && !header.to_lowercase().contains("never") {
        Some(format!("{path}: the crate's header does not say what it never does"))
    } else {
        None
    }
}

/// Words that say that something is not finished. Pieced together, so that this file passes its own check.
fn unfinished_problems(path: &str, text: &str) -> Vec<String> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("to", "do!("), concat!("unimplement", "ed!(")];
    let found = |(at, line): (usize, &str)| words.iter().find(|w| line.contains(**w)).map(|w| format!("{path}:{}: {w}", at + 1));
    text.lines().enumerate().filter_map(found).collect()
}

/// The names of environment variables in a text.
fn settings_in(text: &str) -> Vec<&str> {
    let names = text.match_indices("INDELIBLE_").map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_').unwrap_or(rest.len())]
    });
    names.filter(|n| n.len() > "INDELIBLE_".len() && !n.ends_with('_')).collect()
}

/// The targets of a Markdown text's links that point into the checkout, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let targets = text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next());
    targets.map(|t| t.split('#').next().unwrap_or_default()).filter(|t| !t.is_empty() && !t.contains("://") && !t.starts_with("mailto:")).collect()
}

#[test]
fn dependencies_point_one_way() {
    none(manifests().iter().flat_map(|(name, manifest)| arrow_problems(name, manifest)));
}

#[test]
fn parts_stay_in_their_crates() {
    none(sources().iter().flat_map(|f| word_problems(&f.path, &f.text)));
}

#[test]
fn sql_stays_in_store() {
    none(sources().iter().flat_map(|f| sql_problems(&f.path, &f.text)));
}

#[test]
fn dialects_know_neither_each_other_nor_storage() {
    none(sources().iter().flat_map(|f| dialect_problems(&f.path, &f.text)));
}

#[test]
fn files_are_short() {
    none(sources().iter().filter_map(|f| length_problem(&f.path, &f.text)));
}

#[test]
fn files_say_what_they_promise() {
    none(sources().iter().filter_map(|f| header_problem(&f.path, &f.text)));
}

#[test]
fn nothing_is_left_unfinished() {
    let is_ours = |p: &str| Path::new(p).extension().is_none_or(|e| ["rs", "py", "sh", "md", "toml", "js"].iter().any(|w| e == *w)) && p != "LICENSE";
    none(files(is_ours).iter().flat_map(|f| unfinished_problems(&f.path, &f.text)));
}

#[test]
fn no_large_file_is_tracked() {
    let size = |p: &String| fs::metadata(root().join(p)).map_or(0, |m| m.len());
    none(tracked().iter().filter(|p| size(p) > MAX_BYTES).map(|p| format!("{p}: {} bytes; at most {MAX_BYTES}", size(p))));
}

#[test]
fn every_setting_is_documented() {
    let page = fs::read_to_string(root().join("docs/settings.md")).expect("docs/settings.md");
    let documented = settings_in(&page);
    let of = |f: &File| -> Vec<String> {
        let strings = split(&f.text).strings;
        strings.iter().flat_map(|s| settings_in(s)).filter(|n| !documented.contains(n)).map(|n| format!("{}: {n} is not in docs/settings.md", f.path)).collect()
    };
    none(sources().iter().flat_map(of));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let missing = |f: &File| -> Vec<String> {
        let folder = root().join(&f.path).parent().expect("a folder").to_owned();
        links(&f.text).into_iter().filter(|t| !folder.join(t).exists()).map(|t| format!("{}: {t} does not exist", f.path)).collect()
    };
    none(files(|p| p.ends_with(".md")).iter().flat_map(missing));
}

#[test]
fn the_code_map_is_complete() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md");
    none(manifests().keys().filter(|name| !map.contains(&format!("`crates/{name}`"))).map(|name| format!("docs/ARCHITECTURE.md does not name `crates/{name}`")));
}

mod the_checks_bite {
    use super::*;

    fn manifest(dependencies: &str) -> toml::Table {
        format!("[dependencies]\n{dependencies}").parse().expect("TOML")
    }

    #[test]
    fn arrows() {
        assert!(arrow_problems("archive", &manifest("indelible-model = {}\nbytes = '1'")).is_empty());
        assert_eq!(arrow_problems("store", &manifest("indelible-archive = {}")).len(), 1);
        assert_eq!(arrow_problems("http", &manifest("indelible-store = {}")).len(), 1);
        assert_eq!(arrow_problems("service", &manifest("arrow-array = '60'\nsqlx = '0.9'\naxum = '0.8'")).len(), 3);
        assert_eq!(arrow_problems("extra", &manifest("")).len(), 1);
    }

    #[test]
    fn words() {
        assert!(word_problems("crates/archive/src/scan.rs", "use arrow_array::RecordBatch;").is_empty());
        assert!(word_problems("crates/service/src/read.rs", "/// not an arrow_array\nfn narrow_() { \"axum\"; }").is_empty());
        assert_eq!(word_problems("crates/service/src/read.rs", "use arrow_array::RecordBatch;").len(), 2);
        assert_eq!(word_problems("crates/service/src/read.rs", "fn f() -> StatusCode {}").len(), 1);
        assert_eq!(word_problems("crates/http/src/lib.rs", "sqlx::query(x)").len(), 1);
    }

    #[test]
    fn sql() {
        let text = "let q = \"select a\n from b\"; let p = r#\"update t set x = 1\"#;";
        assert_eq!(sql_problems("crates/service/src/read.rs", text).len(), 2);
        assert!(sql_problems("crates/store/src/read.rs", text).is_empty());
        assert!(sql_problems("crates/service/src/read.rs", "// select a from b\nerr(\"Select a format. Update it.\")").is_empty());
    }

    #[test]
    fn dialects() {
        let path = "crates/http/src/dialects/logproof/routes.rs";
        assert!(dialect_problems(path, "use crate::dialects::logproof::wire; use indelible_service::Service;").is_empty());
        assert_eq!(dialect_problems(path, "use super::super::aitronos::wire;").len(), 1);
        assert_eq!(dialect_problems("crates/http/src/dialects/aitronos.rs", "use indelible_store::Store; use super::logproof::x;").len(), 2);
        assert!(dialect_problems("crates/http/src/dialects/mod.rs", "pub use logproof::routes; pub use aitronos::routes;").is_empty());
    }

    #[test]
    fn lengths_headers_and_words() {
        assert_eq!(length_problem("a.rs", &"x\n".repeat(600)), None);
        assert!(length_problem("a.rs", &"x\n".repeat(601)).is_some());
        assert_eq!(header_problem("crates/a/src/lib.rs", "//! Words.\n//! Never: more.\nmod b;"), None);
        assert!(header_problem("crates/a/src/lib.rs", "//! Words.\nfn never() {}").is_some());
        assert_eq!(header_problem("crates/a/src/b.rs", "//! Words."), None);
        assert!(header_problem("crates/a/src/b.rs", "use x;").is_some());
        assert_eq!(unfinished_problems("a.rs", concat!("fine\n// TO", "DO: more\n    to", "do!()")).len(), 2);
    }

    #[test]
    fn settings_and_links() {
        assert_eq!(settings_in("env = \"INDELIBLE_LISTEN\" and INDELIBLE_* or INDELIBLE_"), ["INDELIBLE_LISTEN"]);
        assert_eq!(links("[a](docs/a.md#b) [c](https://d.example) [e](#f)"), ["docs/a.md"]);
    }
}
