use super::*;

fn read(text: &str, own: Scopes) -> Result<KeySpec> {
    wanted(Object::parse(text.as_bytes(), MEMBERS)?, own)
}

fn members(text: &str) -> Vec<String> {
    read(text, Scopes::all()).err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn a_key_has_a_name_and_scopes() {
    let spec = read(r#"{"name":"CI","scopes":["export","verify"]}"#, Scopes::all()).expect("valid");
    assert_eq!((spec.name.as_str(), spec.scopes.names(), spec.face), ("CI", vec!["verify", "export"], Face::LogProof));
    assert!(spec.organizations.is_none() && spec.expires_at.is_none() && spec.per_minute.is_none() && spec.secret.is_none());
}

#[test]
fn without_scopes_it_has_the_callers_or_a_widgets() {
    let own = Scopes::of(&[Scope::KeysManage, Scope::Export]);
    assert_eq!(read(r#"{"name":"a"}"#, own).map(|s| s.scopes).ok(), Some(own));
    assert_eq!(read(r#"{"name":"a","face":"widget"}"#, own).map(|s| s.scopes).ok(), Some(Scopes::of(&[Scope::Timeline])));
}

#[test]
fn the_rest_is_read() {
    let text = r#"{"name":"a","face":"aitronos","organizations":["o1"],"expires_at":"2027-01-01T00:00:00Z","per_minute":60}"#;
    let spec = read(text, Scopes::all()).expect("valid");
    assert_eq!((spec.face, spec.organizations, spec.per_minute), (Face::Aitronos, Some(vec!["o1".to_owned()]), Some(60)));
    assert_eq!(spec.expires_at.map(|t| t.to_string()).as_deref(), Some("2027-01-01T00:00:00.000000Z"));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("{}", &["name"][..]),
        (r#"{"name":"a","secret":"x"}"#, &["secret"]),
        (r#"{"name":"a","scopes":["all"]}"#, &["scopes"]),
        (r#"{"name":"a","scopes":[]}"#, &["scopes"]),
        (r#"{"name":"a","face":"facebook","organizations":[],"expires_at":"soon","per_minute":0}"#, &["face", "organizations", "expires_at", "per_minute"]),
    ] {
        assert_eq!(members(text), want, "{text}");
    }
}
