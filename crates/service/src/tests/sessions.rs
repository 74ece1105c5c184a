//! Logins and tokens: what they are worth, and when they end.

use std::net::{IpAddr, Ipv4Addr};

use indelible_model::{Kind, Result};

use super::members::{bound, facts, spec, start};
use crate::{CanExport, CanManageKeys, CanRead, Credential, Grant, KeySpec, Login, MemberChange, MemberSpec, Role, Scope, Scopes, Service, Session, Who};

pub(super) const PASSWORD: &str = "correct horse battery";
const HOUR: i64 = 3_600_000_000;

pub(super) async fn come_to(service: &Service, email: &str, password: &str, project: Option<&str>) -> Result<Session> {
    service.login(Login { email, password, project, source: IpAddr::V4(Ipv4Addr::LOCALHOST) }).await
}

pub(super) async fn come(service: &Service, email: &str, password: &str) -> Result<Session> {
    come_to(service, email, password, None).await
}

async fn with(service: &Service, session: &Session) -> Result<Grant> {
    service.authenticate(Credential::Secret(&session.jwt)).await
}

async fn key(service: &Service, by: &Grant, spec: KeySpec) -> (crate::Key, Grant) {
    let made = service.key_create(&by.permit::<CanManageKeys>().unwrap(), spec).await.unwrap();
    (made.key, service.authenticate(Credential::Secret(&made.secret)).await.unwrap())
}

fn with_password(spec: MemberSpec) -> MemberSpec {
    MemberSpec { password: Some(PASSWORD.to_owned()), ..spec }
}

fn names(organizations: &[&str]) -> Vec<String> {
    organizations.iter().map(|&o| o.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_come_in_learns_nothing() {
    let (_dir, service, machine) = start().await;
    let ann = service.member_create(&machine, with_password(spec("ann@example.com", Role::Member))).await.unwrap();
    service.member_create(&machine, spec("nopassword@example.com", Role::Member)).await.unwrap();
    let gone = service.member_create(&machine, with_password(spec("gone@example.com", Role::Member))).await.unwrap();
    service.member_update(&machine, gone.id, MemberChange { active: Some(false), ..MemberChange::default() }).await.unwrap();
    let session = come(&service, " ANN@example.com", PASSWORD).await.unwrap();
    assert!(matches!(with(&service, &session).await.unwrap().who, Who::Member { id, .. } if id == ann.id));
    let mut answers = Vec::new();
    for (email, password) in [
        ("ann@example.com", "correct horse batterY"),
        ("ann@example.com", ""),
        ("ann@example.com", &*"x".repeat(2000)),
        ("nobody@example.com", PASSWORD),
        ("nopassword@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("", PASSWORD),
        ("a\0b@example.com", PASSWORD),
    ] {
        let error = come(&service, email, password).await.unwrap_err();
        answers.push((error.kind(), error.to_string()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, Kind::Unauthenticated);
    // Known people's failures are noted beside the answers.
    let mut failed = Vec::new();
    for _ in 0..200 {
        failed = facts(&service, machine.grant()).await.into_iter().filter(|f| f["action"] == "member.login_failed").collect();
        if failed.len() == 5 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(failed.len(), 5);
    assert!(failed.iter().all(|f| f["metadata"]["source"] == "127.0.0.1" && f["actor"]["type"] == "server"));
    let log = facts(&service, machine.grant()).await;
    assert_eq!(log.iter().filter(|f| f["action"] == "member.login" && f["actor"]["id"] == ann.id.to_string()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_several_projects_name_one_once_they_are_known() {
    let (_dir, service, machine) = start().await;
    let other = service.project_create(&service.on_the_machine(), "other").await.unwrap();
    service.project_create(&service.on_the_machine(), "foreign").await.unwrap();
    let there = service.operator(other).await.unwrap().permit().unwrap();
    service.member_create(&machine, with_password(spec("ann@example.com", Role::Member))).await.unwrap();
    // Without a password of its own another project changes nothing.
    let ann = service.member_create(&there, spec("ann@example.com", Role::Auditor)).await.unwrap();
    assert_eq!(come(&service, "ann@example.com", PASSWORD).await.unwrap().grant.project, machine.project());
    service.member_update(&there, ann.id, MemberChange { password: Some(PASSWORD.into()), ..MemberChange::default() }).await.unwrap();
    assert_eq!(come(&service, "ann@example.com", "a wrong password").await.unwrap_err().kind(), Kind::Unauthenticated);
    let which = come(&service, "ann@example.com", PASSWORD).await.unwrap_err();
    assert_eq!((which.kind(), which.violations()[0].member.as_str()), (Kind::Invalid, "project"));
    for named in ["other", &other.to_string()] {
        assert_eq!(come_to(&service, "ann@example.com", PASSWORD, Some(named)).await.unwrap().grant.project, other);
    }
    let foreign = come_to(&service, "ann@example.com", PASSWORD, Some("foreign")).await.unwrap_err();
    let missing = come_to(&service, "ann@example.com", PASSWORD, Some("nowhere")).await.unwrap_err();
    assert_eq!((foreign.kind(), foreign.to_string()), (missing.kind(), missing.to_string()));
    for named in ["foreign", "other"] {
        assert_eq!(come_to(&service, "ann@example.com", "a wrong password", Some(named)).await.unwrap_err().kind(), Kind::Unauthenticated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_is_told_to_whom_it_concerns() {
    let (_dir, service, machine) = start().await;
    let other = service.project_create(&service.on_the_machine(), "other").await.unwrap();
    let there: crate::Caller<crate::CanManageMembers> = service.operator(other).await.unwrap().permit().unwrap();
    service.member_create(&machine, with_password(spec("ann@example.com", Role::Member))).await.unwrap();
    let spec = MemberSpec { password: Some("another password".into()), ..spec("ann@example.com", Role::Member) };
    service.member_create(&there, spec).await.unwrap();
    let failed = async |grant: &Grant| facts(&service, grant).await.iter().filter(|f| f["action"] == "member.login_failed").count();
    let told = async |wanted: (usize, usize)| {
        let mut told = (0, 0);
        for _ in 0..200 {
            told = (failed(machine.grant()).await, failed(there.grant()).await);
            if told == wanted {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(told, wanted);
    };
    // What is right in one project is no failure in another.
    come(&service, "ann@example.com", PASSWORD).await.unwrap();
    come(&service, "ann@example.com", "another password").await.unwrap();
    come_to(&service, "ann@example.com", PASSWORD, Some("other")).await.unwrap_err();
    told((0, 1)).await;
    come(&service, "ann@example.com", "a wrong password").await.unwrap_err();
    told((1, 2)).await;
    come_to(&service, "ann@example.com", PASSWORD, Some("nowhere")).await.unwrap_err();
    come_to(&service, "ann@example.com", "a wrong password", Some("default")).await.unwrap_err();
    told((2, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_worth_what_its_member_is() {
    let (_dir, service, machine) = start().await;
    let ann = service.member_create(&machine, with_password(spec("ann@example.com", Role::Member))).await.unwrap();
    let session = come(&service, &ann.email, PASSWORD).await.unwrap();
    let open = with(&service, &session).await.unwrap();
    let before = service.database_counters().statements;
    with(&service, &session).await.unwrap();
    assert_eq!(service.database_counters().statements - before, 1, "a request costs one statement");
    let change = async |change: MemberChange| service.member_update(&machine, ann.id, change).await.unwrap();
    change(MemberChange { name: Some("Ann".into()), ..MemberChange::default() }).await;
    assert!(service.still_valid(&open).await.unwrap());
    change(MemberChange { role: Some(Role::Auditor), ..MemberChange::default() }).await;
    let less = with(&service, &session).await.unwrap();
    assert!(less.permit::<CanRead>().is_ok() && !less.scopes.has(Scope::EventsWrite));
    assert!(!service.still_valid(&open).await.unwrap() && service.still_valid(&less).await.unwrap());
    // More rights come with the next login.
    change(MemberChange { role: Some(Role::Admin), ..MemberChange::default() }).await;
    assert!(!with(&service, &session).await.unwrap().scopes.has(Scope::KeysManage));
    change(MemberChange { organizations: Some(Some(names(&["a"]))), ..MemberChange::default() }).await;
    assert_eq!(with(&service, &session).await.unwrap().organizations.as_deref(), Some(&names(&["a"])[..]));
    assert!(!service.still_valid(&less).await.unwrap());
    change(MemberChange { active: Some(false), ..MemberChange::default() }).await;
    assert_eq!(with(&service, &session).await.unwrap_err().kind(), Kind::Unauthenticated);
    change(MemberChange { active: Some(true), ..MemberChange::default() }).await;
    assert_eq!(with(&service, &session).await.unwrap_err().kind(), Kind::Unauthenticated, "a suspension ends sessions");
    let second = come(&service, &ann.email, PASSWORD).await.unwrap();
    service.member_remove(&machine, ann.id).await.unwrap();
    assert_eq!(with(&service, &second).await.unwrap_err().kind(), Kind::Unauthenticated);
    assert!(!service.still_valid(&second.grant).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_time_and_by_logout() {
    let (_dir, service, machine) = start().await;
    service.member_create(&machine, with_password(spec("ann@example.com", Role::Admin))).await.unwrap();
    let (one, two) = (come(&service, "ann@example.com", PASSWORD).await.unwrap(), come(&service, "ann@example.com", PASSWORD).await.unwrap());
    let made = service.token_narrow(&one.grant, names(&["a"]), Role::MerchantStaff).await.unwrap();
    let of_that = service.token_narrow(&made.grant, names(&["a"]), Role::MerchantStaff).await.unwrap();
    assert!(service.logout(&one.grant).await.unwrap());
    assert!(!service.logout(&one.grant).await.unwrap());
    for dead in [&one, &made, &of_that] {
        assert_eq!(with(&service, dead).await.unwrap_err().kind(), Kind::Unauthenticated);
    }
    assert!(with(&service, &two).await.is_ok());
    // What was made late ends with what it was made from.
    service.clock().advance(HOUR / 2);
    let late = service.token_narrow(&two.grant, names(&["a"]), Role::MerchantStaff).await.unwrap();
    assert_eq!(late.expires_at, two.expires_at);
    service.clock().advance(HOUR / 2);
    for dead in [&two, &late] {
        assert_eq!(with(&service, dead).await.unwrap_err().kind(), Kind::Unauthenticated);
        assert!(!service.still_valid(&dead.grant).await.unwrap());
    }
    service.clock().advance(1);
    service.sweep_now().await;
    assert!(service.inner.store.glance().await.unwrap().token_find(two.id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_token_is_never_more() {
    let (_dir, service, machine) = start().await;
    service.member_create(&machine, with_password(bound(&["a", "b"], spec("ann@example.com", Role::Admin)))).await.unwrap();
    let ann = come(&service, "ann@example.com", PASSWORD).await.unwrap().grant;
    let narrow = service.token_narrow(&ann, names(&["b", "a"]), Role::MerchantStaff).await.unwrap();
    let grant = with(&service, &narrow).await.unwrap();
    assert_eq!(grant.organizations.as_deref(), Some(&names(&["a", "b"])[..]));
    assert!(matches!(grant.who, Who::Member { role: Role::MerchantStaff, operator: false, .. }));
    assert!(grant.permit::<CanRead>().is_ok() && grant.permit::<CanExport>().is_err());
    let kind = async |of: &Grant, organizations: &[&str], role| service.token_narrow(of, names(organizations), role).await.unwrap_err().kind();
    assert_eq!(kind(&ann, &["a", "c"], Role::MerchantStaff).await, Kind::Forbidden);
    assert_eq!(kind(&ann, &[], Role::MerchantStaff).await, Kind::Invalid);
    assert_eq!(kind(&grant, &["a"], Role::MerchantAdmin).await, Kind::Forbidden);
    // The binding that is left of both is what it sees.
    let member = service.members(&machine).await.unwrap().into_iter().find(|m| m.email == "ann@example.com").unwrap();
    let change = |organizations: &[&str]| MemberChange { organizations: Some(Some(names(organizations))), ..MemberChange::default() };
    service.member_update(&machine, member.id, change(&["b", "c"])).await.unwrap();
    assert_eq!(with(&service, &narrow).await.unwrap().organizations.as_deref(), Some(&names(&["b"])[..]));
    service.member_update(&machine, member.id, change(&["c"])).await.unwrap();
    assert_eq!(with(&service, &narrow).await.unwrap_err().kind(), Kind::Unauthenticated);
    // An operator is none with less than their own role.
    let owner = service.members(&machine).await.unwrap().into_iter().find(|m| m.operator).unwrap();
    service.member_update(&machine, owner.id, MemberChange { password: Some(PASSWORD.into()), ..MemberChange::default() }).await.unwrap();
    let owner = come(&service, &owner.email, PASSWORD).await.unwrap().grant;
    assert!(owner.admin().is_ok());
    let less = service.token_narrow(&owner, names(&["a"]), Role::Admin).await.unwrap();
    assert!(with(&service, &less).await.unwrap().admin().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_token_lives_a_quarter_of_an_hour_at_most() {
    let (_dir, service, machine) = start().await;
    let (row, grant) = key(&service, machine.grant(), KeySpec::new("app", Scopes::of(&[Scope::EventsRead, Scope::Export, Scope::KeysManage]))).await;
    let (_, other) = key(&service, machine.grant(), KeySpec::new("other", Scopes::all())).await;
    let export = Scopes::of(&[Scope::Export]);
    let token = service.token_for_key(&grant, export, "exports").await.unwrap();
    let came = with(&service, &token).await.unwrap();
    assert!(came.scopes == export && came.token == Some(token.id) && matches!(came.who, Who::Key { id, .. } if id == row.id));
    for error in [
        service.token_for_key(&came, export, "").await.unwrap_err(),
        service.token_for_key(&grant, Scopes::all(), "").await.unwrap_err(),
        service.token_for_key(machine.grant(), export, "").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Forbidden);
    }
    let info = service.token_introspect(&grant, &token.jwt).await.unwrap().unwrap();
    assert_eq!((info.id, info.key, info.scope.as_str(), info.expires_at), (token.id, Some(row.id), "exports", token.expires_at));
    assert_eq!(token.expires_at.micros(), info.created_at.micros() + 900_000_000);
    // Another key's token is a dead one; so is what is none.
    assert!(service.token_introspect(&other, &token.jwt).await.unwrap().is_none());
    assert!(!service.token_revoke(&other, &token.jwt).await.unwrap());
    for strange in ["", "a.b.c", "x", &token.jwt[..token.jwt.len() - 2]] {
        assert!(service.token_introspect(&grant, strange).await.unwrap().is_none(), "{strange}");
    }
    assert!(service.token_revoke(&grant, &token.jwt).await.unwrap());
    assert!(!service.token_revoke(&grant, &token.jwt).await.unwrap());
    assert!(with(&service, &token).await.is_err() && service.token_introspect(&grant, &token.jwt).await.unwrap().is_none());
    let second = service.token_for_key(&grant, export, "exports").await.unwrap();
    service.clock().advance(HOUR / 4 - 1);
    assert!(with(&service, &second).await.is_ok());
    service.clock().advance(1);
    assert!(with(&service, &second).await.is_err());
    let third = service.token_for_key(&grant, export, "exports").await.unwrap();
    service.key_revoke(&machine.grant().permit().unwrap(), row.id).await.unwrap();
    assert!(with(&service, &third).await.is_err());
}
