use indelible_model::query::Test;
use indelible_model::{Filter, Timestamp};
use serde_json::Value;

use super::*;

/// What FastAPI says of parameters.
#[rustfmt::skip]
const QUERIES: &[(&str, &str)] = &[
    ("page=0", r#"[{"type":"greater_than_equal","loc":["query","page"],"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}}]"#),
    ("page=-1", r#"[{"type":"greater_than_equal","loc":["query","page"],"msg":"Input should be greater than or equal to 1","input":"-1","ctx":{"ge":1}}]"#),
    ("page=1.5", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1.5"}]"#),
    ("page=x", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"}]"#),
    ("page=", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":""}]"#),
    ("page=1__0", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1__0"}]"#),
    ("page=1e2", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1e2"}]"#),
    ("page=1.", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1."}]"#),
    ("page=.0", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":".0"}]"#),
    ("page=-0", r#"[{"type":"greater_than_equal","loc":["query","page"],"msg":"Input should be greater than or equal to 1","input":"-0","ctx":{"ge":1}}]"#),
    ("page=+", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":" "}]"#),
    ("page=1_", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1_"}]"#),
    ("page=_1", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"_1"}]"#),
    ("page=%D9%A1", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"١"}]"#),
    ("page=1;limit=x", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"1;limit=x"}]"#),
    ("page=%2B-1", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"+-1"}]"#),
    ("limit=0", r#"[{"type":"greater_than_equal","loc":["query","limit"],"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}}]"#),
    ("limit=201", r#"[{"type":"less_than_equal","loc":["query","limit"],"msg":"Input should be less than or equal to 200","input":"201","ctx":{"le":200}}]"#),
    ("limit=99999999999999999999", r#"[{"type":"less_than_equal","loc":["query","limit"],"msg":"Input should be less than or equal to 200","input":"99999999999999999999","ctx":{"le":200}}]"#),
    ("limit=-99999999999999999999", r#"[{"type":"greater_than_equal","loc":["query","limit"],"msg":"Input should be greater than or equal to 1","input":"-99999999999999999999","ctx":{"ge":1}}]"#),
    ("limit=null", r#"[{"type":"int_parsing","loc":["query","limit"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"null"}]"#),
    ("from=x", r#"[{"type":"datetime_from_date_parsing","loc":["query","from"],"msg":"Input should be a valid datetime or date, input is too short","input":"x","ctx":{"error":"input is too short"}}]"#),
    ("from=", r#"[{"type":"datetime_from_date_parsing","loc":["query","from"],"msg":"Input should be a valid datetime or date, input is too short","input":"","ctx":{"error":"input is too short"}}]"#),
    ("to=2026-13-01", r#"[{"type":"datetime_from_date_parsing","loc":["query","to"],"msg":"Input should be a valid datetime or date, month value is outside expected range of 1-12","input":"2026-13-01","ctx":{"error":"month value is outside expected range of 1-12"}}]"#),
    ("from=0000-01-01", r#"[{"type":"datetime_parsing","loc":["query","from"],"msg":"Input should be a valid datetime, year 0 is out of range","input":"0000-01-01","ctx":{"error":"year 0 is out of range"}}]"#),
    ("from=2026-01-01T10:00:00+01:00", r#"[{"type":"datetime_from_date_parsing","loc":["query","from"],"msg":"Input should be a valid datetime or date, unexpected extra characters at the end of the input","input":"2026-01-01T10:00:00 01:00","ctx":{"error":"unexpected extra characters at the end of the input"}}]"#),
    ("page=0&limit=0&from=x&to=", r#"[{"type":"datetime_from_date_parsing","loc":["query","from"],"msg":"Input should be a valid datetime or date, input is too short","input":"x","ctx":{"error":"input is too short"}},{"type":"datetime_from_date_parsing","loc":["query","to"],"msg":"Input should be a valid datetime or date, input is too short","input":"","ctx":{"error":"input is too short"}},{"type":"greater_than_equal","loc":["query","page"],"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}},{"type":"greater_than_equal","loc":["query","limit"],"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}}]"#),
    ("page=1&page=y", r#"[{"type":"int_parsing","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"y"}]"#),
];

/// What FastAPI says of bodies.
#[rustfmt::skip]
const BODIES: &[(&str, &str)] = &[
    ("", r#"[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]"#),
    ("null", r#"[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":null}]"#),
    ("[]", r#"[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[]}]"#),
    ("1", r#"[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":1}]"#),
    (r#""x""#, r#"[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":"x"}]"#),
    ("{", r#"[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting property name enclosed in double quotes"}}]"#),
    ("{]", r#"[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting property name enclosed in double quotes"}}]"#),
    (r#"{"a":}"#, r#"[{"type":"json_invalid","loc":["body",5],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]"#),
    (r#"{"a":1,}"#, r#"[{"type":"json_invalid","loc":["body",7],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting property name enclosed in double quotes"}}]"#),
    ("x", r#"[{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]"#),
    ("{}x", r#"[{"type":"json_invalid","loc":["body",2],"msg":"JSON decode error","input":{},"ctx":{"error":"Extra data"}}]"#),
    (r#"{"a":"\q"}"#, r#"[{"type":"json_invalid","loc":["body",6],"msg":"JSON decode error","input":{},"ctx":{"error":"Invalid \\escape"}}]"#),
    (r#"{"format":1}"#, r#"[{"type":"string_type","loc":["body","format"],"msg":"Input should be a valid string","input":1}]"#),
    (r#"{"format":null}"#, r#"[{"type":"string_type","loc":["body","format"],"msg":"Input should be a valid string","input":null}]"#),
    (r#"{"actorId":1,"actions":1,"fromDate":true}"#, r#"[{"type":"string_type","loc":["body","actorId"],"msg":"Input should be a valid string","input":1},{"type":"list_type","loc":["body","actions"],"msg":"Input should be a valid list","input":1},{"type":"datetime_type","loc":["body","fromDate"],"msg":"Input should be a valid datetime","input":true}]"#),
    (r#"{"actorId":{"a":[1,null]},"subjectName":[],"resourceTypes":{},"toDate":[]}"#, r#"[{"type":"string_type","loc":["body","actorId"],"msg":"Input should be a valid string","input":{"a":[1,null]}},{"type":"string_type","loc":["body","subjectName"],"msg":"Input should be a valid string","input":[]},{"type":"list_type","loc":["body","resourceTypes"],"msg":"Input should be a valid list","input":{}},{"type":"datetime_type","loc":["body","toDate"],"msg":"Input should be a valid datetime","input":[]}]"#),
    (r#"{"actions":"x","fromDate":"x"}"#, r#"[{"type":"list_type","loc":["body","actions"],"msg":"Input should be a valid list","input":"x"},{"type":"datetime_from_date_parsing","loc":["body","fromDate"],"msg":"Input should be a valid datetime or date, input is too short","input":"x","ctx":{"error":"input is too short"}}]"#),
    (r#"{"actions":["a",null,2,{}]}"#, r#"[{"type":"string_type","loc":["body","actions",1],"msg":"Input should be a valid string","input":null},{"type":"string_type","loc":["body","actions",2],"msg":"Input should be a valid string","input":2},{"type":"string_type","loc":["body","actions",3],"msg":"Input should be a valid string","input":{}}]"#),
    (r#"{"actions":[[]]}"#, r#"[{"type":"string_type","loc":["body","actions",0],"msg":"Input should be a valid string","input":[]}]"#),
    (r#"{"fromDate":123456789012345678901234567890}"#, r#"[{"type":"datetime_parsing","loc":["body","fromDate"],"msg":"Input should be a valid datetime, dates after 9999 are not supported as unix timestamps","input":123456789012345678901234567890,"ctx":{"error":"dates after 9999 are not supported as unix timestamps"}}]"#),
    (r#"{"fromDate":-62167219200000,"toDate":1e20}"#, r#"[{"type":"datetime_parsing","loc":["body","fromDate"],"msg":"Input should be a valid datetime, year 0 is out of range","input":-62167219200000,"ctx":{"error":"year 0 is out of range"}},{"type":"datetime_parsing","loc":["body","toDate"],"msg":"Input should be a valid datetime, dates after 9999 are not supported as unix timestamps","input":1e+20,"ctx":{"error":"dates after 9999 are not supported as unix timestamps"}}]"#),
    (r#"{"fromDate":"0000-01-01"}"#, r#"[{"type":"datetime_parsing","loc":["body","fromDate"],"msg":"Input should be a valid datetime, year 0 is out of range","input":"0000-01-01","ctx":{"error":"year 0 is out of range"}}]"#),
    (r#"{"actorId":"a","actorId":3}"#, r#"[{"type":"string_type","loc":["body","actorId"],"msg":"Input should be a valid string","input":3}]"#),
    (r#"{"format":1.5,"fromDate":{}}"#, r#"[{"type":"string_type","loc":["body","format"],"msg":"Input should be a valid string","input":1.5},{"type":"datetime_type","loc":["body","fromDate"],"msg":"Input should be a valid datetime","input":{}}]"#),
    (r#"{"toDate":"2026-02-30","merchantId":false}"#, r#"[{"type":"string_type","loc":["body","merchantId"],"msg":"Input should be a valid string","input":false},{"type":"datetime_from_date_parsing","loc":["body","toDate"],"msg":"Input should be a valid datetime or date, day value is outside expected range","input":"2026-02-30","ctx":{"error":"day value is outside expected range"}}]"#),
];

/// What it takes.
const GOOD_QUERIES: &[&str] = &[
    "",
    "page=1.0",
    "page=01",
    "page=%2B1",
    "page=+1",
    "page=1_0",
    "page=x&page=2",
    "page=99999999999999999999",
    "limit=200",
    "limit=1.000",
    "action=",
    "action=a&action=b",
    "action",
    "merchantId=",
    "unknown=1",
    "merchantId=%ff",
    "merchantId=%zz",
    "from=2026-01-01",
    "to=1700000000",
    "a;b=1",
    "&&page=2&",
];
const GOOD_BODIES: &[&str] =
    &["{}", r#"{"format":"csv","actions":null,"unknown":{}}"#, r#"{"actions":[],"fromDate":1,"toDate":"2026-01-01T00:00"}"#, "\u{feff}{}", r#"{"actorId":3,"actorId":"a"}"#];

fn page(raw: &str) -> Result<List, Failed> {
    list(Some(raw), &Limits::default())
}

fn file(text: &str) -> Result<Asked, Failed> {
    export(Body::parse(text.as_bytes(), true)?, &Limits::default())
}

fn told<T: std::fmt::Debug>(failed: Result<T, Failed>) -> Value {
    serde_json::from_str(failed.expect_err("refused").detail.expect("a list").get()).expect("JSON")
}

#[test]
fn what_breaks_a_rule_is_told_as_fastapi_tells_it() {
    for (raw, want) in QUERIES {
        assert_eq!(told(page(raw)), serde_json::from_str::<Value>(want).expect("JSON"), "{raw}");
    }
    for (text, want) in BODIES {
        let told = told(file(text));
        // A number stands as it was sent.
        let same = |(told, want): (&Value, &Value)| told == want || (told["input"].is_number() && told["type"] == want["type"] && told["loc"] == want["loc"]);
        let want: Value = serde_json::from_str(want).expect("JSON");
        let (told, want) = (told.as_array().expect("a list"), want.as_array().expect("a list"));
        assert!(told.len() == want.len() && told.iter().zip(want).all(same), "{text}: {told:?}");
    }
    for raw in GOOD_QUERIES {
        assert!(page(raw).is_ok(), "{raw}");
    }
    for text in GOOD_BODIES {
        assert!(file(text).is_ok(), "{text}");
    }
}

#[test]
fn what_fastapi_has_no_rule_for() {
    let long = "ä".repeat(1025);
    for (told, rule, loc) in [
        (told(file(r#"{"format":"xlsx"}"#)), "string_pattern_mismatch", r#"["body","format"]"#),
        (told(file(&format!(r#"{{"actorName":"{long}"}}"#))), "string_too_long", r#"["body","actorName"]"#),
        (told(file(&format!(r#"{{"actions":["a","{}"]}}"#, long.repeat(8)))), "string_too_long", r#"["body","actions",1]"#),
        (told(file(&format!(r#"{{"actions":[{}1]}}"#, "1,".repeat(1000)))), "too_long", r#"["body","actions"]"#),
        (told(file(r#"{"actorId":"\ud800"}"#)), "string_unicode", r#"["body","actorId"]"#),
        (told(page(&format!("subjectName={long}"))), "string_too_long", r#"["query","subjectName"]"#),
        (told(page(&"action=a&".repeat(1001))), "too_long", r#"["query","action"]"#),
    ] {
        assert_eq!((told[0]["type"].as_str(), told[0]["loc"].to_string().as_str()), (Some(rule), loc));
    }
    assert_eq!(page(&"a".repeat(20_000)).expect_err("too long").error.kind(), indelible_model::Kind::TooLarge);
    for text in [&b"{\"a\":\"\xff\"}"[..], br#"{"a":NaN}"#] {
        let failed = Body::parse(text, true).err().map(|f| (f.error.kind(), f.detail.map(|d| d.get().contains("Expecting value"))));
        assert!(matches!(failed, Some((indelible_model::Kind::Malformed, None) | (_, Some(true)))), "{failed:?}");
    }
    assert_eq!(Body::parse(b"{}", false).err().and_then(|f| f.detail).map(|d| d.get().contains(r#""input":"{}""#)), Some(true));
    let many = told(file(&format!(r#"{{"actions":[{}1],"resourceTypes":[{}1]}}"#, "1,".repeat(900), "1,".repeat(900))));
    assert_eq!(many.as_array().map(Vec::len), Some(1000));
}

#[test]
fn the_key_of_a_problem_is_named_for_the_other_family() {
    let failed = page("page=0&limit=x").expect_err("invalid");
    let told: Vec<_> = failed.error.violations().iter().map(|v| v.member.clone()).collect();
    assert_eq!(told, ["page", "limit"]);
    assert_eq!(failed.error.public(), "page: Input should be greater than or equal to 1");
    assert_eq!(file(r#"{"actions":["a",1]}"#).expect_err("invalid").error.violations()[0].member, "actions.1");
}

/// The same filters, as the list and the export have them.
fn both(raw: &str, text: &str) -> Filter {
    let (list, file) = (page(raw).expect(raw).query.filter, file(text).expect(text).query.filter);
    assert_eq!(list, file, "{raw}");
    list
}

#[test]
fn filters_of_the_list_and_of_the_export_are_the_same() {
    assert!(both("", "{}").is_empty() && both("merchant=a", r#"{"merchant":"a"}"#).is_empty());
    let exact = both(
        "merchantId=m&subjectId=s&actorId=a&action=x&action=y.z&resourceType=t",
        r#"{"merchantId":"m","subjectId":"s","actorId":"a","actions":["x","y.z"],"resourceTypes":["t"]}"#,
    );
    let fields: Vec<_> = exact.terms.iter().map(|t| (t.any_of[0], t.test.clone())).collect();
    let one = |values: &[&str]| Test::OneOf(values.iter().map(|v| (*v).to_owned()).collect());
    let want = [
        (Field::OrganizationId, one(&["m"])),
        (Field::SubjectId, one(&["s"])),
        (Field::ActorId, one(&["a"])),
        (Field::Action, one(&["x", "y.z"])),
        (Field::TargetType, one(&["t"])),
    ];
    assert_eq!(fields, want);
    let partial = both("subjectName=S&actorName=A%40b&merchantName=M", r#"{"subjectName":"S","actorName":"A@b","merchantName":"M"}"#);
    assert_eq!(partial.terms[0].any_of, [Field::ActorName, Field::ActorEmail, Field::ActorId]);
    assert!(partial.terms[0].test.passes("Xa@B.example") && partial.terms[1].test.passes("om") && partial.either.len() == 2);
    let times = both("from=2026-01-01&to=2026-01-02T00:00:00%2B01:00", r#"{"fromDate":"2026-01-01","toDate":"2026-01-02T00:00:00+01:00"}"#);
    let at = |text| Some(Timestamp::parse(text).expect("a time"));
    assert_eq!((times.from, times.to), (at("2026-01-01T00:00:00Z"), at("2026-01-01T23:00:00Z")));
}

#[test]
fn pages_and_files() {
    let third = page("page=3&limit=7").expect("valid");
    assert_eq!((third.page, third.limit, third.query.skip, third.query.limit, third.query.order), (3, 7, 14, Some(7), Order::Descending));
    let first = page("").expect("valid");
    assert_eq!((first.page, first.limit, first.query.skip), (1, 50, 0));
    assert!(page("page=99999999999999999999").expect("valid").query.skip > 1 << 60);
    let file = file(r#"{"unknown":1,"format":"json","toDate":null,"actorName":"x"}"#).expect("valid");
    assert_eq!((file.format, file.query.order, file.query.limit), (Format::Records(Layout::LoyaltyDog), Order::Ascending, None));
    assert_eq!(file.shown.to_string(), r#"{"format":"json","actorName":"x","toDate":null}"#);
}
