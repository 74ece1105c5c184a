use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::args::{Cli, Command};

const ID: &str = "exp_004c92hJb1Qw7dY0kTzN5sVx";

fn parse(args: &str) -> Result<Box<Export>, clap::Error> {
    match Cli::try_parse_from(["indelible", "export"].into_iter().chain(args.split_whitespace()))?.command {
        Command::Export(export) => Ok(export),
        other => panic!("{other:?}"),
    }
}

fn request(args: &str) -> Value {
    let export = parse(&format!("--async {args}")).unwrap();
    export.check().unwrap();
    export.request().unwrap()
}

/// What a person is told who gives flags that do not go together.
fn refusal(args: &str) -> String {
    match parse(args) {
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{args}");
            error.to_string()
        }
        Ok(export) => {
            let failure = export.check().and_then(|()| export.request()).expect_err(args);
            assert_eq!(failure.code(), 2, "{args}");
            failure.to_string()
        }
    }
}

#[test]
fn flags_become_a_request() {
    assert_eq!(request(""), json!({ "exported_object": "event", "parameters": { "format": "ndjson", "compression": "none" } }));
    assert_eq!(request("--log activity --zstd"), json!({ "exported_object": "api_log", "parameters": { "format": "ndjson", "compression": "zstd" } }));
    let csv = json!({ "format": "csv", "compression": "gzip", "csv_safe": false, "fields": ["id", "action"] });
    assert_eq!(request("--format csv --gzip --csv-safe false --fields id,action")["parameters"], csv);
    let filtered = request("--from 2026-02-10 --to 2026-02-10T12:00:00Z --action user.* --actor-id u1 --target-type t --target-id d");
    let one = |operator: &str, value: &str| json!({ "conditions": { operator: [value] } });
    let want = json!({
        "created_at": { "conditions": { "$after": ["2026-02-09T23:59:59.999999Z"], "$before": ["2026-02-10T12:00:00.000001Z"] } },
        "action": one("$starts_with", "user."),
        "actor_id": one("$is", "u1"), "target_type": one("$is", "t"), "target_id": one("$is", "d"),
        "junction": "and",
    });
    assert_eq!(filtered["parameters"]["filters"], want);
    for (action, test) in [("user.login", one("$is", "user.login")), ("*.deleted", one("$ends_with", ".deleted"))] {
        assert_eq!(request(&format!("--action {action}"))["parameters"]["filters"]["action"], test);
    }
}

#[test]
fn what_a_task_cannot_do_is_refused_with_another_way() {
    for (args, want) in [
        ("--async --search invoice", "--search"),
        ("--async --action a*b", "one *"),
        ("--async --action *", "one *"),
        ("--async --action *a*", "one *"),
        ("--async --log activity --actor-id u1", "--from and --to"),
        ("--async --fields id", "--format csv"),
        ("--async --wait", "--output"),
        ("--async --output x", "--wait"),
        ("--async --format parquet --gzip", "Parquet"),
        ("--server http://x", "--async"),
    ] {
        let text = refusal(args);
        assert!(text.contains(want) && text.contains("\nnext:"), "{args}: {text}");
    }
}

#[test]
fn flags_of_the_two_ways_exclude_each_other() {
    for (args, want) in [
        ("--async --data-dir x", "--data-dir"),
        ("--async --project p", "--project"),
        ("--async --layout aitronos", "--layout"),
        ("--async --end", "--end"),
        ("--async --bom", "--bom"),
        ("--wait", "--async"),
        ("--fields id", "--async"),
        ("--async --export x --wait", "exp_"),
    ] {
        let text = refusal(args);
        assert!(text.contains(want), "{args}: {text}");
    }
    assert!(refusal(&format!("--async --export {ID}")).contains("--wait"));
    for what in ["--log events", "--format csv", "--from 2026-01-01", "--action a", "--gzip", "--csv-safe true", "--search x"] {
        let text = refusal(&format!("--async --wait --output x --export {ID} {what}"));
        assert!(text.contains("cannot be used with"), "{what}: {text}");
    }
    let export = parse(&format!("--async --wait --output x --export {ID}")).unwrap();
    export.check().unwrap();
    assert_eq!(export.export.unwrap().to_string(), ID);
}
