use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::tokens::jwt::claims_of;

fn provider(change: impl FnOnce(&mut OidcProvider)) -> Arc<OidcProvider> {
    let mut provider = OidcProvider {
        name: "corp".into(),
        issuer: "https://i".into(),
        client_id: "c".into(),
        client_secret: None,
        audiences: Vec::new(),
        scopes: Vec::new(),
        project: "default".into(),
        let_in_unknown: true,
        default_role: None,
        roles_claim: Some("realm.roles".into()),
        roles: BTreeMap::from([("boss".into(), Role::Admin), ("check".into(), Role::Auditor), ("shop".into(), Role::MerchantStaff)]),
        organizations_claim: None,
    };
    change(&mut provider);
    Arc::new(provider)
}

fn read(provider: &Arc<OidcProvider>, claims: &Value) -> Result<ForeignClaims, Refusal> {
    ForeignClaims::read(provider, &claims_of(claims))
}

fn rights(role: Role, organizations: Option<&[&str]>) -> Option<Rights> {
    Some(Rights { role, organizations: organizations.map(|o| o.iter().map(|&o| o.to_owned()).collect()) })
}

#[test]
fn roles_come_from_the_claim_that_is_configured() {
    let corp = provider(|_| ());
    let of = |roles: Value| read(&corp, &json!({ "sub": "s", "realm": { "roles": roles } })).unwrap().rights(None);
    assert_eq!(of(json!(["check", "boss"])), rights(Role::Admin, None));
    assert_eq!(of(json!("check")), rights(Role::Auditor, None));
    for nothing in [json!([]), json!("Boss"), json!({ "boss": true }), json!(null), json!([["boss"]])] {
        assert_eq!(of(nothing.clone()), None, "{nothing}");
    }
    // A bound role without organizations is nothing.
    assert_eq!(of(json!("shop")), None);
    // What was withdrawn ends, whatever there was before.
    let withdrawn = read(&corp, &json!({ "sub": "s" })).unwrap();
    assert_eq!(withdrawn.rights(rights(Role::Owner, None).as_ref()), None);
}

#[test]
fn without_a_claim_a_role_is_settled_here() {
    let corp = provider(|p| (p.roles_claim, p.roles, p.default_role) = (None, BTreeMap::new(), Some(Role::Auditor)));
    let said = read(&corp, &json!({ "sub": "s", "role": "owner", "realm": { "roles": "boss" } })).unwrap();
    assert_eq!(said.rights(None), rights(Role::Auditor, None));
    let before = rights(Role::Admin, Some(&["o1"]));
    assert_eq!(said.rights(before.as_ref()), before);
}

#[test]
fn organizations_bind_whom_they_are_claimed_of() {
    let corp = provider(|p| p.organizations_claim = Some("orgs".into()));
    let of = |orgs: Value| read(&corp, &json!({ "sub": "s", "realm": { "roles": ["shop"] }, "orgs": orgs })).unwrap().rights(None);
    assert_eq!(of(json!(["b", "a", "b"])), rights(Role::MerchantStaff, Some(&["a", "b"])));
    assert_eq!(of(json!("a")), rights(Role::MerchantStaff, Some(&["a"])));
    for nothing in [json!([]), json!(null), json!(""), json!(7), json!("*")] {
        assert_eq!(of(nothing.clone()), None, "{nothing}");
    }
    let boss = |orgs: Value| read(&corp, &json!({ "sub": "s", "realm": { "roles": "boss" }, "orgs": orgs })).unwrap().rights(None);
    assert_eq!(boss(json!("*")), rights(Role::Admin, None));
    assert_eq!(boss(json!([])), None);
    // An owner is bound to nothing.
    let corp = provider(|p| (p.organizations_claim, p.roles) = (Some("orgs".into()), BTreeMap::from([("boss".into(), Role::Owner)])));
    let owner = |orgs: Value| read(&corp, &json!({ "sub": "s", "realm": { "roles": "boss" }, "orgs": orgs })).unwrap().rights(None);
    assert_eq!((owner(json!("*")), owner(json!("a"))), (rights(Role::Owner, None), None));
}

#[test]
fn people_are_their_subject() {
    let corp = provider(|_| ());
    for sub in [json!(""), json!(null), json!(7), json!("x".repeat(256)), json!("a\u{0}b"), json!(["s"])] {
        assert_eq!(read(&corp, &json!({ "sub": sub })).unwrap_err(), Refusal::Claim("sub"));
    }
    let email = |claims: Value| read(&corp, &claims).unwrap().email;
    assert_eq!(email(json!({ "sub": "s", "email": "Ann@Example.com", "email_verified": true })).as_deref(), Some("ann@example.com"));
    assert_eq!(email(json!({ "sub": "s", "email": "ann@example.com" })), None);
    assert_eq!(email(json!({ "sub": "s", "email": "ann@example.com", "email_verified": false })), None);
    assert_eq!(email(json!({ "sub": "s", "email": "nobody", "email_verified": true })), None);
}
