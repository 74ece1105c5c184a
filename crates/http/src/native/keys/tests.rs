use super::*;

fn members(text: &str) -> Vec<String> {
    wanted(text.as_bytes(), Scopes::all()).err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn a_key_has_a_name_and_scopes() {
    let (name, scopes) = wanted(br#"{"name":"CI","scopes":["export","verify"]}"#, Scopes::all()).expect("valid");
    assert_eq!((name.as_str(), scopes.names()), ("CI", vec!["verify", "export"]));
    let (_, all) = wanted(br#"{"name":"CI"}"#, Scopes::all()).expect("valid");
    assert_eq!(all.names().len(), 5);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("", &[""][..]),
        ("[]", &[""]),
        ("{}", &["name"]),
        (r#"{"name":""}"#, &["name"]),
        (r#"{"name":5,"admin":true}"#, &["admin", "name"]),
        (r#"{"name":"a","scopes":["all"]}"#, &["scopes"]),
        (r#"{"name":"a","scopes":[]}"#, &["scopes"]),
        (r#"{"name":"a","scopes":"export"}"#, &["scopes"]),
    ] {
        assert_eq!(members(text), want, "{text}");
    }
}

#[test]
fn nobody_gives_a_scope_that_they_lack() {
    let own = Scopes::parse(&["keys:manage".to_owned(), "export".to_owned()]).expect("scopes");
    assert_eq!(wanted(br#"{"name":"a"}"#, own).map(|(_, s)| s).ok(), Some(own));
    assert!(wanted(br#"{"name":"a","scopes":["export"]}"#, own).is_ok());
    assert!(wanted(br#"{"name":"a","scopes":["verify"]}"#, own).is_err_and(|e| e.kind() == Kind::Forbidden));
}

#[test]
fn a_new_name() {
    assert_eq!(new_name(br#"{"name":"b"}"#).ok().as_deref(), Some("b"));
    assert!(new_name(br#"{"name":"b","scopes":[]}"#).is_err());
}
