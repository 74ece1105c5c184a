use super::*;

const ALLOWED: &[&str] = &["name", "list", "number", "flag", "time"];

fn wrong(text: &str) -> Vec<String> {
    let mut object = match Object::parse(text.as_bytes(), ALLOWED) {
        Ok(object) => object,
        Err(error) => return error.violations().iter().map(|v| v.member.clone()).collect(),
    };
    object.required("name", 5);
    object.texts("list");
    object.number("number");
    object.flag("flag");
    object.time("time");
    object.finish().err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("", &[""][..]),
        ("[]", &[""]),
        (r#"{"name":"a"} x"#, &[""]),
        ("{}", &["name"]),
        (r#"{"name":null}"#, &["name"]),
        (r#"{"name":" "}"#, &["name"]),
        (r#"{"name":"abcdef"}"#, &["name"]),
        (r#"{"name":5,"admin":true}"#, &["admin", "name"]),
        (r#"{"name":"a","list":[],"number":0,"flag":"yes","time":"today"}"#, &["list", "number", "flag", "time"]),
        (r#"{"name":"a","list":["a",""],"number":-1,"flag":1,"time":5}"#, &["list", "number", "flag", "time"]),
        (r#"{"name":"a","list":"a","number":1.5}"#, &["list", "number"]),
        (r#"{"name":"a","list":["a"],"number":7,"flag":false,"time":"2026-02-10T14:32:15Z"}"#, &[]),
        (r#"{"name":"a","list":null,"number":null,"flag":null,"time":null}"#, &[]),
    ] {
        assert_eq!(wrong(text), want, "{text}");
    }
}

#[test]
fn null_is_told_from_absence() {
    let object = Object::parse(br#"{"list":null}"#, ALLOWED).expect("an object");
    assert!(object.names("list") && !object.names("name"));
}
