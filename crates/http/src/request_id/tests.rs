use indelible_model::Timestamp;

use super::*;

fn of(own: Option<&'static str>) -> RequestId {
    formed(own, Form::Uuid)
}

fn formed(own: Option<&'static str>, form: Form) -> RequestId {
    let headers = own.map(|v| (X_REQUEST_ID.parse().expect("a name"), HeaderValue::from_static(v))).into_iter().collect();
    RequestId::of(&headers, &Clock::fixed(Timestamp::parse("2026-02-10T14:32:15Z").expect("a time")), &Ids::seeded(1), form)
}

#[test]
fn a_harmless_id_of_the_client_is_kept() {
    assert_eq!(of(Some("a.B_c-9")).as_str(), "a.B_c-9");
    for other in ["", "a b", "a/b", "\"", "a,b"] {
        assert_eq!(of(Some(other)).as_str().len(), 36, "{other}");
    }
    assert!(is_harmless(&"x".repeat(128)) && !is_harmless(&"x".repeat(129)));
}

#[test]
fn the_uuid_form_is_stable() {
    let fresh = of(None);
    assert_eq!(fresh.as_uuid(), fresh.as_str());
    let own = of(Some("call-1")).as_uuid();
    assert_eq!(own, of(Some("call-1")).as_uuid());
    assert_eq!((own.len(), &own[14..15]), (36, "8"));
}

#[test]
fn the_short_form_is_stable() {
    let fresh = formed(None, Form::Short);
    assert_eq!((fresh.short().as_str(), fresh.as_str().len()), (fresh.as_str(), 20));
    assert_eq!(of(Some("v-0b029305af4524cf42")).short(), "v-0b029305af4524cf42");
    for other in ["call-1", "v-0B029305AF4524CF42", "v-1"] {
        let made = of(Some(other)).short();
        assert!(made != other && made.len() == 20 && made == of(Some(other)).short(), "{other}");
    }
}
