use super::*;

#[test]
fn a_merchant_is_named() {
    assert_eq!(merchant(br#"{"merchantId":"m1","other":1}"#).ok().as_deref(), Some("m1"));
    for (text, member, message) in [
        ("", "", "JSON decode error"),
        ("[]", "", "Input should be a valid dictionary or object"),
        ("{}", "merchantId", REQUIRED),
        (r#"{"merchantId":null}"#, "merchantId", "Input should be a valid string"),
        (r#"{"merchantId":""}"#, "merchantId", "String should have 1 to 1024 characters"),
    ] {
        let error = merchant(text.as_bytes()).expect_err(text);
        assert_eq!(error.violations(), [Violation::new(member, message)], "{text}");
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
    let members = |text| of(text).err().map(|e| e.violations().iter().map(|v| v.member.clone()).collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(members("username=&grant_type=client_credentials"), ["username", "password", "grant_type"]);
}

#[test]
fn a_project_is_asked_for_by_the_name_that_the_form_has_for_it() {
    let asked = unnamed(Error::invalid_member("project", "You are a member of several projects: name one of them."));
    assert_eq!(asked.violations(), [Violation::new("client_id", PROJECT)]);
    assert_eq!(unnamed(Error::new(Kind::Unauthenticated, "no")).kind(), Kind::Unauthenticated);
}
