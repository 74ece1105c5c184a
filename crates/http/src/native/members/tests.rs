use super::*;

fn members(error: Option<Error>) -> Vec<String> {
    error.map(|e| e.violations().iter().map(|v| v.member.clone()).collect()).unwrap_or_default()
}

#[test]
fn a_member_to_add() {
    let of = |text: &str| spec(Object::parse(text.as_bytes(), SPEC).expect("an object"));
    let jane = of(r#"{"email":"jane@example.com","role":"merchant_staff","organizations":["m1"],"password":"a long one"}"#).expect("valid");
    assert_eq!((jane.name.as_str(), jane.role, jane.organizations, jane.password.as_deref()), ("jane", Role::MerchantStaff, Some(vec!["m1".to_owned()]), Some("a long one")));
    for (text, want) in [
        ("{}", &["email", "role"][..]),
        (r#"{"email":"a@b.example","role":null}"#, &["role"]),
        (r#"{"email":"a@b.example","role":"god"}"#, &["role"]),
        (r#"{"email":5,"role":"member","active":true,"organizations":"o"}"#, &["active", "email", "organizations"]),
    ] {
        assert_eq!(members(of(text).err()), want, "{text}");
    }
}

#[test]
fn what_is_absent_stays_and_null_lifts_the_binding() {
    let of = |text: &str| change(Object::parse(text.as_bytes(), CHANGE).expect("an object"));
    let nothing = of("{}").expect("valid");
    assert!(nothing.name.is_none() && nothing.role.is_none() && nothing.organizations.is_none() && nothing.password.is_none() && nothing.active.is_none());
    assert_eq!(of(r#"{"organizations":null}"#).map(|c| c.organizations).ok(), Some(Some(None)));
    assert_eq!(of(r#"{"organizations":["o"]}"#).map(|c| c.organizations).ok(), Some(Some(Some(vec!["o".to_owned()]))));
    assert_eq!(of(r#"{"active":false}"#).map(|c| c.active).ok(), Some(Some(false)));
    assert_eq!(members(of(r#"{"role":"","active":"no","email":"x"}"#).err()), ["email", "role", "active"]);
}
