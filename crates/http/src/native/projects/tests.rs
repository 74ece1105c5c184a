use indelible_model::Kind;

use super::*;

#[test]
fn a_plan_of_null_is_no_own_plan() {
    let of = |text: &str| change(Object::parse(text.as_bytes(), MEMBERS)?).map(|c| (c.name, c.plan));
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(of("{}").unwrap(), (None, None));
    assert_eq!(of(r#"{"plan":null,"name":null}"#).unwrap(), (None, text("")));
    assert_eq!(of(r#"{"name":"shop","plan":"default"}"#).unwrap(), (text("shop"), text("default")));
    for bad in [r#"{"plan":""}"#, r#"{"plan":1}"#, r#"{"plans":"pro"}"#] {
        assert_eq!(of(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
    }
}
