use super::*;

#[test]
fn a_merchant_is_named() {
    assert_eq!(merchant(br#"{"merchantId":"m1","other":1}"#).ok().as_deref(), Some("m1"));
    for (text, rule) in
        [("", "missing"), ("[]", "model_attributes_type"), ("{}", "missing"), (r#"{"merchantId":null}"#, "string_type"), (r#"{"merchantId":""}"#, "string_too_short")]
    {
        let detail = merchant(text.as_bytes()).expect_err(text).detail.expect("a list");
        assert!(detail.get().starts_with(&format!(r#"[{{"type":"{rule}","#)), "{text}: {detail}");
    }
}

#[test]
fn a_form_names_a_member() {
    let of = |text: &str| credentials(Form::parse(text.as_bytes()).expect("a form"));
    let project = format!("{}{}", ProjectId::PREFIX, "0".repeat(32));
    let (email, password, none) = of("username=a%40b.example&password=x&scope=a").expect("valid");
    assert_eq!((email.as_str(), password.as_str(), none), ("a@b.example", "x", None));
    assert_eq!(of("username=a&password=b&client_id=my+shop").ok().and_then(|c| c.2).as_deref(), Some("my shop"));
    assert_eq!(of(&format!("username=a&password=b&grant_type=password&client_id={project}")).ok().and_then(|c| c.2), Some(project));
    let detail = of("username=&grant_type=client_credentials").expect_err("invalid").detail.expect("a list");
    assert_eq!(
        detail.get(),
        r#"[{"type":"missing","loc":["body","username"],"msg":"Field required","input":null},{"type":"missing","loc":["body","password"],"msg":"Field required","input":null},{"type":"string_pattern_mismatch","loc":["body","grant_type"],"msg":"String should match pattern '^password$'","input":"client_credentials","ctx":{"pattern":"^password$"}}]"#
    );
}

#[test]
fn a_project_is_asked_for_by_the_name_that_the_form_has_for_it() {
    let asked = unnamed(Error::invalid_member("project", "You are a member of several projects: name one of them."));
    assert_eq!(asked.violations(), [indelible_model::Violation::new("client_id", PROJECT)]);
    assert_eq!(unnamed(Error::new(Kind::Unauthenticated, "no")).kind(), Kind::Unauthenticated);
}
