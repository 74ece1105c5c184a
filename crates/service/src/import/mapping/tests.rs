use std::io::{BufRead, BufReader};
use std::path::Path as FilePath;

use indelible_model::{EventBatch, Limits};
use proptest::prelude::*;

use super::*;

const SOURCE: Source<'_> = Source { file: "a.ndjson", digest: "d1e8a70b5ccab1dc2f56bbf7e99f064a", line: 1 };

fn map(mapping: &str, line: &str) -> Result<String, String> {
    let mut out = b"before".to_vec();
    let mapped = Mapping::parse(mapping).unwrap().map(line.as_bytes(), &SOURCE, &mut out);
    let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    match mapped {
        Ok(_) => Ok(text),
        Err(e) => {
            assert_eq!(text, "", "an error leaves nothing behind");
            Err(e.to_string())
        }
    }
}

/// One member of what a small mapping makes.
fn member(mapping: &str, line: &str, name: &str) -> Option<String> {
    let text = map(&format!("{mapping}\n[time]\nmissing = \"import-time\""), line).unwrap();
    json::member(text.as_bytes(), name).map(|v| String::from_utf8(v.to_vec()).unwrap())
}

fn action(template: &str, line: &str) -> String {
    member(&format!("action = {template}"), line, "action").unwrap()
}

fn refused(mapping: &str) -> String {
    Mapping::parse(mapping).unwrap_err().to_string()
}

#[test]
fn every_built_in_mapping_parses_and_says_what_it_is() {
    for name in Mapping::builtin_names() {
        let mapping = Mapping::parse(Mapping::builtin(name).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!mapping.about.is_empty(), "{name}");
    }
    assert_eq!(Mapping::builtin("nothing"), None);
}

#[test]
fn the_worked_example_of_the_documentation_is_true() {
    let doc = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/import.md"));
    let example = doc.split("## A worked example").nth(1).unwrap();
    let block = |language: &str, n: usize| example.split(&format!("```{language}\n")).nth(n).unwrap().split("```").next().unwrap();
    let made = map(block("toml", 1), block("json", 1).trim()).unwrap();
    let shown = String::from_utf8(compact(block("json", 2).as_bytes()).unwrap()).unwrap();
    assert_eq!(made, shown);
}

#[test]
fn numbers_keep_their_text_and_members_their_order() {
    let line = r#" {"z": -9214364837600034816, "a": 1.50, "b": [1E+2, 12345678901234567890123] } "#;
    let compacted = r#"{"z":-9214364837600034816,"a":1.50,"b":[1E+2,12345678901234567890123]}"#;
    let mapping = "action = \"{z}\"\ncontext = { a = \"{a}\", s = \"{a|text}\", b = \"{b}\" }";
    assert_eq!(member(mapping, line, "metadata").unwrap(), compacted);
    assert_eq!(member(mapping, line, "action").unwrap(), "\"-9214364837600034816\"");
    assert_eq!(member(mapping, line, "context").unwrap(), r#"{"a":1.50,"b":[1E+2,12345678901234567890123],"s":"1.50"}"#);
}

#[test]
fn paths_reach_members_lists_and_awkward_names() {
    let line = r#"{"a":{"b.c":{"d":["x",["y","z"]]},"0":"zero","q]":"bracket","\"":"quote"},"A":"upper","":"empty"}"#;
    for (path, want) in [("a.[b.c].d.0", "x"), ("a[b.c].d.1.1", "z"), ("a.0", "zero"), ("a.[q]]]", "bracket"), ("a.[\\\"]", "quote"), ("A", "upper")] {
        assert_eq!(action(&format!("\"{{{path}}}\""), line), format!("\"{want}\""), "{path}");
    }
    for absent in ["a.[b.c].d.2", "a.[b.c].d.x", "A.b", "B", "a.[b.c].d.1.9", "a.[b.c]", "a.[b.c].d"] {
        assert_eq!(action(&format!("[\"{{{absent}}}\", \"none\"]"), line), "\"none\"", "{absent}");
    }
    assert_eq!(action("\"{a.[b.c].d|json}\"", line), r#""[\"x\",[\"y\",\"z\"]]""#);
    assert_eq!(member("action = \"x\"\nignore_case = true\ntarget = { id = \"{A.B}\" }", r#"{"a":{"b":1}}"#, "target").unwrap(), r#"{"id":"1"}"#);
    assert_eq!(member("action = \"x\"\nignore_case = true\ntarget = { id = \"{A}\" }", r#"{"a":1,"A":2}"#, "target").unwrap(), r#"{"id":"2"}"#);
    assert_eq!(member("action = \"x\"\nmetadata = \"{a}\"", line, "metadata").unwrap(), r#"{"b.c":{"d":["x",["y","z"]]},"0":"zero","q]":"bracket","\"":"quote"}"#);
}

#[test]
fn templates_take_the_first_that_counts() {
    let line = r#"{"n":null,"e":"","d":"-","t":true,"s":"Ab"}"#;
    assert_eq!(action(r#"["{n}", "{e}", "{missing}", "{s}"]"#, line), r#""Ab""#);
    assert_eq!(action(r#"["{s}.{e}", "{s|lower}-{s|upper}-{t}"]"#, line), r#""ab-AB-true""#);
    assert_eq!(action(r#""{{{s}}} {$line} {$file}""#, line), r#""{Ab} 1 d1e8a70b5ccab1dc2f56bbf7e99f064a""#);
    let absent = "absent = [\"-\"]\naction = [\"{d}\", \"x\"]";
    assert_eq!(member(absent, line, "action").unwrap(), "\"x\"");
    let parts = "action = \"x\"\nactor = { id = \"{n}\", type = \"user\" }\ncontext = { env = \"prod\", no = \"{n}\" }\ndiff = { before = \"{n}\" }";
    assert_eq!(member(parts, line, "actor"), None, "constants alone make no actor");
    assert_eq!(member(parts, line, "context").unwrap(), r#"{"env":"prod"}"#);
    assert_eq!(member(parts, line, "diff"), None);
}

#[test]
fn names_and_e_mails_go_into_meta() {
    let mapping = "action = \"x\"\nactor = { id = \"{i}\", name = \"{s}\", meta = { deep = { i = \"{i}\" } } }";
    assert_eq!(member(mapping, r#"{"i":7,"s":"Ann"}"#, "actor").unwrap(), r#"{"id":"7","meta":{"name":"Ann","deep":{"i":7}}}"#);
}

#[test]
fn times_are_read_as_the_mapping_says() {
    let read = |settings: &str, value: &str| {
        let mapping = format!("action = \"x\"\noccurred_at = [\"{{no}}\", \"{{t}}\"]\n[time]\n{settings}");
        map(&mapping, &format!("{{\"t\":{value}}}")).map(|text| json::member(text.as_bytes(), "occurred_at").map(|v| json::as_str(v).unwrap().into_owned()).unwrap_or_default())
    };
    for (settings, value, want) in [
        ("", r#""2026-02-10T14:32:15Z""#, "2026-02-10T14:32:15.000000Z"),
        ("", r#""2026-02-10 14:32:15.1234567+0230""#, "2026-02-10T12:02:15.123456Z"),
        ("", r#""2026-02-10 14:32:15 UTC""#, "2026-02-10T14:32:15.000000Z"),
        ("", r#""2026-02-10 14:32:15 +0000""#, "2026-02-10T14:32:15.000000Z"),
        ("assume_zone = \"UTC\"", r#""2026-02-10 14:32:15""#, "2026-02-10T14:32:15.000000Z"),
        ("assume_zone = \"+02:00\"", r#""2026-02-10 14:32:15""#, "2026-02-10T12:32:15.000000Z"),
        ("assume_zone = \"+02:00\"", r#""2026-02-10 14:32:15Z""#, "2026-02-10T14:32:15.000000Z"),
        ("", "1621305118", "2021-05-18T02:31:58.000000Z"),
        ("", "1621305118.5531239", "2021-05-18T02:31:58.553123Z"),
        ("", "1621305118553", "2021-05-18T02:31:58.553000Z"),
        ("", "1621305118553.0", "2021-05-18T02:31:58.553000Z"),
        ("", r#""1621305118553123""#, "2021-05-18T02:31:58.553123Z"),
        ("", "1621305118553123999", "2021-05-18T02:31:58.553123Z"),
        ("epoch = \"ms\"", "-1", "1969-12-31T23:59:59.999000Z"),
        ("epoch = \"s\"", "0", "1970-01-01T00:00:00.000000Z"),
        ("missing = \"import-time\"", "null", ""),
        ("unreadable = \"import-time\"", "\"redacted\"", ""),
    ] {
        assert_eq!(read(settings, value).as_deref(), Ok(want), "{settings} {value}");
    }
    for (settings, value, want) in [
        ("", r#""2026-02-10 14:32:15""#, "has no time zone; name it with time.assume_zone"),
        ("", "20260210", "no number of seconds"),
        ("", "20260210143215", "no number of seconds"),
        ("", "0", "no number of seconds"),
        ("", "1.6e9", "RFC 3339"),
        ("", "99999999999999999999999", "no number of seconds"),
        ("epoch = \"s\"", "9223372036854775807", "no number of seconds"),
        ("", "\"redacted\"", "`redacted` must be an RFC 3339 time"),
        ("", r#""2026-13-10T14:32:15Z""#, "RFC 3339"),
        ("missing = \"import-time\"", "\"redacted\"", "RFC 3339"),
        ("unreadable = \"import-time\"", "null", "none of its candidates is in the record: {no}, {t}"),
    ] {
        let error = read(settings, value).unwrap_err();
        assert!(error.starts_with("a.ndjson, line 1: occurred_at: ") && error.contains(want), "{settings} {value}: {error}");
    }
}

#[test]
fn cases_replace_member_by_member_and_may_use_others() {
    let mapping = r#"
        action = "{kind}"
        actor = { id = "{who}", type = "user" }
        time = { missing = "import-time" }
        [[case]]
        when = { kind = ["a", "b"], extra = false }
        actor = { type = "robot" }
        [[case]]
        when = { number = 7, flag = "true" }
        action = "seven"
        [[case.case]]
        when = { extra = true }
        action = "seven.extra"
        [[case]]
        when = { vendor = "okta" }
        use = "okta"
        root = "event"
        external_id = "mine"
    "#;
    let made = |line: &str| {
        let text = map(mapping, line).unwrap();
        text.split_once(",\"metadata\":").unwrap().0.to_owned()
    };
    assert_eq!(made(r#"{"kind":"a","who":"x"}"#), r#"{"action":"a","actor":{"id":"x","type":"robot"}"#);
    assert_eq!(made(r#"{"kind":"a","who":"x","extra":1}"#), r#"{"action":"a","actor":{"id":"x","type":"user"}"#);
    assert_eq!(made(r#"{"number":7,"flag":true}"#), r#"{"action":"seven""#);
    assert_eq!(made(r#"{"number":7,"flag":true,"extra":1}"#), r#"{"action":"seven.extra""#);
    let line = r#"{"vendor":"okta","event":{"kind":"k","who":"w","client":{"ipAddress":"::1"},"uuid":"u"}}"#;
    let text = map(mapping, line).unwrap();
    assert_eq!(
        text,
        format!(r#"{{"action":"k","actor":{{"id":"w","type":"user"}},"context":{{"ip":"::1"}},"metadata":{line},"external_id":"mine"}}"#),
        "the file's own words win over the used mapping's"
    );
    let only_cases = "external_id = \"x\"\n[[case]]\nwhen = { a = true }\naction = \"a\"\noccurred_at = \"{t}\"";
    assert!(map(only_cases, "{}").unwrap_err().ends_with("action: is not mapped for this record; no case of the mapping fits it"));
}

#[test]
fn a_record_that_cannot_be_mapped_names_file_line_and_member() {
    let mapping = "action = \"{verb}\"\nexternal_id = \"k:{id}\"\nmetadata = \"{m}\"\n[time]\nmissing = \"import-time\"";
    for (line, want) in [
        (r#"{"id":1,"m":{}}"#, "a.ndjson, line 1: action: none of its candidates is in the record: {verb}"),
        (r#"{"verb":{},"id":1,"m":{}}"#, "a.ndjson, line 1: action: none of its candidates is in the record: {verb}"),
        (r#"{"verb":"get","m":{}}"#, "a.ndjson, line 1: external_id: none of its candidates is in the record: k:{id}"),
        (r#"{"verb":"get","id":1}"#, "a.ndjson, line 1: metadata: none of its candidates is in the record: {m}"),
        (r#"{"verb":"get","id":1,"m":[]}"#, "a.ndjson, line 1: metadata: {m} is not an object"),
        ("[]", "a.ndjson, line 1: the line is not a JSON object"),
        ("", "a.ndjson, line 1: unexpected end at byte 0"),
        (r#"{"a":1,"b":{"c":1,"c":2}}"#, "a.ndjson, line 1: duplicate member name at byte 24"),
        (r#"{"a":1}x"#, "a.ndjson, line 1: unexpected text after the value at byte 7"),
    ] {
        assert_eq!(map(mapping, line).unwrap_err(), want, "{line}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(map(mapping, &deep).unwrap_err().contains("nested too deeply"));
    assert!(Mapping::parse(mapping).unwrap().map(b"{\"a\":\"\xff\"}", &SOURCE, &mut Vec::new()).is_err());
    assert!(map(mapping, r#"{"ProcessId":"1","ProcessID":"2","verb":"x","id":1,"m":{}}"#).is_ok(), "names that differ in case are two names");
}

#[test]
fn a_mapping_that_is_wrong_says_where() {
    let timed = "occurred_at = \"{t}\"\n";
    for (mapping, want) in [
        ("action = \"x\"", "occurred_at: is not mapped; if the source has no times, say so"),
        (timed, "action: is not mapped"),
        ("action = [", "TOML parse error"),
        ("occurred_at = \"{t}\"\naction = \"{a\"", "action: `{a` has a placeholder without its }"),
        ("occurred_at = \"{t}\"\naction = \"a}\"", "action: `a}` has a } without its {"),
        ("occurred_at = \"{t}\"\naction = \"{a..b}\"", "action: `a..b}` has an empty name in its path"),
        ("occurred_at = \"{t}\"\naction = \"{[a}\"", "action: `[a}` has a [ without its ]"),
        ("occurred_at = \"{t}\"\naction = \"{a|trim}\"", "action: `|trim` is not known"),
        ("occurred_at = \"{t}\"\naction = \"{$host}\"", "is not known; there are {$file} and {$line}"),
        ("occurred_at = \"{t}\"\naction = \"\"", "action: is an empty text"),
        ("occurred_at = \"{t}\"\naction = 7", "action: must be a text or a list of texts"),
        ("occurred_at = \"{t}\"\naction = \"x\"\nactors = {}", "actors: is not known in a mapping"),
        ("occurred_at = \"{t}\"\naction = \"x\"\nactor = { ident = \"x\" }", "actor.ident: is not known; there are id, type, name, email, meta"),
        ("occurred_at = \"{t}\"\naction = \"x\"\nactor = \"x\"", "actor: must be a table: [actor]"),
        ("occurred_at = \"{t}\"\naction = \"x\"\nactor = { name = \"x\", meta = { name = \"y\" } }", "actor.meta.name: is given twice"),
        ("occurred_at = \"{t}\"\naction = \"x\"\ntime = { assume_zone = \"CET\" }", "time.assume_zone: must be \"UTC\" or an offset"),
        ("occurred_at = \"{t}\"\naction = \"x\"\ntime = { missing = \"now\" }", "time.missing: must be \"error\" or \"import-time\""),
        ("occurred_at = \"{t}\"\naction = \"x\"\ntime = { epoch = \"h\" }", "time.epoch: must be"),
        ("occurred_at = \"{t}\"\naction = \"x\"\n[[case]]\naction = \"y\"", "case.1.when: must say when the case applies"),
        ("occurred_at = \"{t}\"\naction = \"x\"\n[[case]]\nwhen = { a = true }\nfoo = 1", "case.1.foo: is not known"),
        ("use = \"native\"", "use: `native` is not a built-in mapping that can be used"),
        ("use = \"nothing\"", "use: `nothing` is not a built-in mapping"),
        ("native = true\naction = \"x\"", "native: must be true, and stand alone"),
    ] {
        let error = refused(mapping);
        assert!(error.contains(want), "{mapping}\n{error}");
    }
}

#[test]
fn native_lines_lose_what_the_server_gives_and_keep_their_id() {
    let native = Mapping::builtin("native").unwrap();
    let exported = r#"{"id":"evt_1","sequence_number":1,"action":"a","occurred_at":"2026-02-10T14:32:15.000000Z","received_at":"x","created_at":"x","actor":null,"target":null,"context":{},"diff":null,"metadata":{"n":1.50},"salt":"s","hash":"h","previous_hash":"p"}"#;
    assert_eq!(
        map(native, exported).unwrap(),
        r#"{"action":"a","occurred_at":"2026-02-10T14:32:15.000000Z","actor":null,"target":null,"context":{},"diff":null,"metadata":{"n":1.50},"external_id":"evt_1"}"#
    );
    assert_eq!(map(native, r#"{"id":"evt_1","external_id":"e","action":"a"}"#).unwrap(), r#"{"external_id":"e","action":"a"}"#);
    assert_eq!(map(native, "{}").unwrap(), r#"{"external_id":"d1e8a70b5ccab1dc2f56bbf7e99f064a:1"}"#);
    let mut out = Vec::new();
    let closing = Mapping::parse(native).unwrap().map(br#"{"_end":{"rows":1,"sha256":"x"}}"#, &SOURCE, &mut out);
    assert_eq!((closing, out.len()), (Ok(Mapped::ClosingLine), 0));
    assert_eq!(map(native, r#"{"_end":1,"action":"a","id":"x"}"#).unwrap(), r#"{"_end":1,"action":"a","external_id":"x"}"#);
}

#[test]
fn a_file_has_one_digest() {
    assert_eq!(file_digest(&b"abc"[..]).unwrap(), "ba7816bf8f01cfea414140de5dae2223");
}

/// The public data sets, where they lie beside the repository.
#[test]
fn real_records_become_events_that_ingest_accepts() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for (name, mapping, rows) in
        [("cloudtrail", "cloudtrail", 3_210), ("k8s-audit", "k8s-audit", 16_563), ("saas-samples", "panther-samples", 2_139), ("windows-security", "windows-security", 67_668)]
    {
        let Ok(file) = std::fs::File::open(folder.join(format!("{name}.ndjson.gz"))) else { continue };
        let mapping = Mapping::parse(Mapping::builtin(mapping).unwrap()).unwrap();
        let (mut count, mut out) = (0, Vec::new());
        for line in BufReader::new(flate2::read::GzDecoder::new(file)).split(b'\n') {
            count += 1;
            out.clear();
            let line = line.unwrap();
            mapping.map(&line, &Source { file: name, digest: "d", line: count }, &mut out).unwrap();
            EventBatch::default().push(&out, &Limits::default()).unwrap_or_else(|e| panic!("{name} {count}: {e:?}"));
            assert!(json::member(&out, "metadata").is_some_and(|m| m == &compact(&line).unwrap()[..]), "{name} {count}");
        }
        assert_eq!(count, rows, "{name}");
    }
}

proptest! {
    #[test]
    fn no_mapping_text_and_no_record_panics(template in "[{}\\[\\]|.$a-c]{0,12}", line in "[\\[\\]{}\",:0-9abc-]{0,30}") {
        let text = format!("action = [{}, \"x\"]\ntime = {{ missing = \"import-time\" }}", serde_json::to_string(&template).unwrap());
        if let Ok(mapping) = Mapping::parse(&text) {
            let mut out = Vec::new();
            if mapping.map(line.as_bytes(), &SOURCE, &mut out).is_ok() {
                prop_assert!(EventBatch::default().push(&out, &Limits::default()).is_ok());
            }
        }
    }

    #[test]
    fn no_time_text_panics(text in "[-+0-9.:TZ UTC]{0,30}", unit in 0..5usize) {
        let epoch = ["", "epoch = \"s\"", "epoch = \"ms\"", "epoch = \"us\"", "epoch = \"ns\""][unit];
        let mapping = format!("action = \"x\"\noccurred_at = \"{{t}}\"\n[time]\nassume_zone = \"UTC\"\n{epoch}");
        let _ = map(&mapping, &format!("{{\"t\":{}}}", serde_json::to_string(&text).unwrap()));
    }
}
