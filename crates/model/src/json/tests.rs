use proptest::prelude::*;

use super::*;

fn compact(text: &str) -> std::result::Result<String, JsonError> {
    let mut out = Vec::new();
    let mut s = Scanner::new(text.as_bytes(), 32, 64)?;
    s.value(&mut out)?;
    s.finish()?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn keeps_order_and_number_text_and_drops_only_white_space() {
    assert_eq!(compact(" { \"b\" : [ 1 , 2.50e+07, -0, 12345678901234567890123 ] ,\n\"a\":null }").unwrap(), r#"{"b":[1,2.50e+07,-0,12345678901234567890123],"a":null}"#);
}

#[test]
fn writes_minimal_escapes() {
    assert_eq!(compact(r#""\u0041\/\u00e9\ud83d\ude00\n\u000b\u001F\"\\""#).unwrap(), "\"A/é😀\\n\\u000b\\u001f\\\"\\\\\"");
}

#[test]
fn refuses_what_it_must() {
    for bad in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "tru",
        "nul",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "'a'",
        "{a:1}",
        "[1 2]",
        "{\"a\" 1}",
        "1 2",
        "NaN",
        "Infinity",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "0x10",
        "1a",
        "--1",
        "[1]]",
        "\u{feff}1",
    ] {
        assert!(compact(bad).is_err(), "{bad}");
    }
    assert!(compact(&"[".repeat(33)).is_err());
    assert!(compact(&format!("{}{}", "[".repeat(32), "]".repeat(32))).is_ok());
    assert!(compact(&format!("{{\"{}\":1}}", "k".repeat(65))).is_err());
    assert!(Scanner::new(b"\"\xff\"", 8, 8).is_err());
    let many: Vec<String> = (0..40).map(|i| format!("\"k{i}\":0")).collect();
    assert!(compact(&format!("{{{}}}", many.join(","))).is_ok());
    assert!(compact(&format!("{{{},\"k7\":1}}", many.join(","))).is_err());
}

#[test]
fn walks_members_of_canonical_text() {
    let text = br#"{"a":{"x":[1,"}"]},"b":"q\"uo,te","c":-1.5}"#;
    let all: Vec<_> = members(text).map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), String::from_utf8_lossy(v).into_owned())).collect();
    assert_eq!(all, [("\"a\"".into(), "{\"x\":[1,\"}\"]}".into()), ("\"b\"".into(), "\"q\\\"uo,te\"".into()), ("\"c\"".into(), "-1.5".into())]);
    assert_eq!(member(text, "c"), Some(&b"-1.5"[..]));
    assert_eq!(as_str(member(text, "b").unwrap()).unwrap(), "q\"uo,te");
}

proptest! {
    #[test]
    fn strings_round_trip(text in any::<String>()) {
        let mut out = Vec::new();
        write_string(&text, &mut out);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());
        prop_assert_eq!(as_str(&out).unwrap(), text.as_str());
        prop_assert_eq!(compact(std::str::from_utf8(&out).unwrap()).unwrap().into_bytes(), out);
    }

    #[test]
    fn no_input_panics_and_what_passes_is_what_serde_reads(text in "[\\[\\]{}\",:0-9eE+.a-f\\\\u -]{0,40}") {
        if let Ok(canonical) = compact(&text) {
            let ours: serde_json::Value = serde_json::from_str(&canonical).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), ours);
        }
    }
}
