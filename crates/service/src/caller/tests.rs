use indelible_model::TokenId;

use super::*;

fn grant(project: u8, key: u8, scopes: &[Scope], organizations: Option<&[&str]>) -> Grant {
    Grant {
        project: ProjectId([project; 16]),
        project_name: "p".to_owned(),
        who: Who::Key { id: KeyId([key; 16]), name: format!("k{key}"), face: Face::LogProof },
        scopes: Scopes::of(scopes),
        organizations: organizations.map(|o| o.iter().map(|o| (*o).to_owned()).collect()),
        plan: Arc::new(Plan::unrestricted()),
        per_minute: None,
        token: None,
    }
}

#[test]
fn two_credentials_allow_what_both_allow() {
    let one = Grant { per_minute: Some(9), ..grant(1, 1, &[Scope::EventsRead, Scope::Export], Some(&["a", "b"])) };
    let two = Grant { per_minute: Some(5), ..grant(1, 2, &[Scope::Export, Scope::Verify], Some(&["b", "c"])) };
    let both = one.and(&two).unwrap();
    assert_eq!((both.scopes, both.per_minute, both.who), (Scopes::of(&[Scope::Export]), Some(5), one.who.clone()));
    assert_eq!(both.organizations.as_deref(), Some(&["b".to_owned()][..]));
    let free = grant(1, 3, &Scope::ALL, None);
    assert_eq!(free.and(&one).unwrap().organizations, one.organizations);
    assert_eq!(one.and(&free).unwrap().organizations, one.organizations);
    assert_eq!(free.and(&free).unwrap().organizations, None);
}

#[test]
fn only_two_operators_operate_together() {
    let member =
        |operator| Grant { who: Who::Member { id: MemberId([1; 16]), email: "a@b".into(), name: "A".into(), role: Role::Owner, operator }, ..grant(1, 1, &Scope::ALL, None) };
    let (one, plain, key) = (member(true), member(false), grant(1, 1, &Scope::ALL, None));
    assert!(one.admin().is_ok() && one.and(&one).unwrap().admin().is_ok() && one.within(&one).unwrap().admin().is_ok());
    for (first, second) in [(&one, &plain), (&one, &key), (&plain, &one), (&key, &one)] {
        assert_eq!(first.and(second).unwrap().admin().unwrap_err().kind(), Kind::Forbidden);
    }
}

#[test]
fn two_credentials_may_not_go_together() {
    let one = grant(1, 1, &Scope::ALL, Some(&["a"]));
    let kind = |other: &Grant| one.and(other).unwrap_err().kind();
    assert_eq!(kind(&grant(2, 1, &Scope::ALL, Some(&["a"]))), Kind::Unauthenticated);
    assert_eq!(kind(&grant(1, 2, &Scope::ALL, Some(&["b"]))), Kind::Forbidden);
}

#[test]
fn a_session_goes_with_its_own_holder_only() {
    let session = Grant { token: Some(TokenId([9; 16])), ..grant(1, 1, &[Scope::EventsRead], Some(&["a"])) };
    let within = session.within(&grant(1, 1, &Scope::ALL, None)).unwrap();
    assert_eq!((within.token, within.scopes), (session.token, session.scopes));
    assert_eq!(session.within(&grant(1, 2, &Scope::ALL, None)).unwrap_err().kind(), Kind::Unauthenticated);
    let operator = Grant { who: Who::Operator, ..grant(1, 1, &Scope::ALL, None) };
    assert_eq!(operator.within(&operator).unwrap_err().kind(), Kind::Unauthenticated);
}

#[test]
fn a_binding_hides_the_rest() {
    let bound = grant(1, 1, &Scope::ALL, Some(&["a"]));
    assert!(bound.sees(Some("a")) && !bound.sees(Some("A")) && !bound.sees(None));
    assert_eq!(bound.whole_project().unwrap_err().kind(), Kind::Forbidden);
    let free = grant(1, 1, &Scope::ALL, None);
    assert!(free.sees(None) && free.sees(Some("x")) && free.whole_project().is_ok());
}
