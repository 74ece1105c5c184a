//! Members: who makes whom, the last owner, and what one project cannot do to another.

use indelible_model::{Kind, LogKind, MemberId, Query};
use serde_json::Value;

use super::sessions::{PASSWORD, come, come_to};
use super::{grant, node, small};
use crate::{Caller, CanManageMembers, CanReadLogs, Grant, KeySpec, Member, MemberChange, MemberSpec, Role, Scope, Scopes, Service, Who, testing};

pub(super) fn spec(email: &str, role: Role) -> MemberSpec {
    MemberSpec { email: email.to_owned(), name: "Somebody".to_owned(), role, organizations: None, password: None }
}

pub(super) fn bound(organizations: &[&str], spec: MemberSpec) -> MemberSpec {
    MemberSpec { organizations: Some(organizations.iter().map(|&o| o.to_owned()).collect()), ..spec }
}

fn role(role: Role) -> MemberChange {
    MemberChange { role: Some(role), ..MemberChange::default() }
}

fn password(password: &str) -> MemberChange {
    MemberChange { password: Some(password.to_owned()), ..MemberChange::default() }
}

/// What the server reported of itself.
pub(super) async fn facts(service: &Service, grant: &Grant) -> Vec<Value> {
    service.settle().await.unwrap();
    let page = service.page(&grant.permit::<CanReadLogs>().unwrap(), Query::all(LogKind::Activity)).await.unwrap();
    page.lines.iter().map(|l| serde_json::from_slice(l).unwrap()).collect()
}

pub(super) async fn start() -> (tempfile::TempDir, Service, Caller<CanManageMembers>) {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let key = grant(&service).await;
    let machine = service.operator(key.project).await.unwrap().permit().unwrap();
    (dir, service, machine)
}

/// Makes somebody, and what they come in with.
async fn made(service: &Service, by: &Caller<CanManageMembers>, spec: MemberSpec) -> (Member, Grant) {
    let member = service.member_create(by, MemberSpec { password: Some(PASSWORD.to_owned()), ..spec }).await.unwrap();
    let session = come(service, &member.email, PASSWORD).await.unwrap();
    (member, session.grant)
}

fn manager(grant: &Grant) -> Caller<CanManageMembers> {
    grant.permit().unwrap()
}

async fn owner(service: &Service, by: &Caller<CanManageMembers>) -> Member {
    service.members(by).await.unwrap().into_iter().find(|m| m.role == Role::Owner).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_give_what_they_say() {
    let (_dir, service, machine) = start().await;
    let (member, auditor) = made(&service, &machine, spec(" Ann@Example.COM ", Role::Auditor)).await;
    assert_eq!((member.email.as_str(), member.operator, member.active), ("ann@example.com", false, true));
    assert_eq!(auditor.scopes.names(), ["events:read", "verify", "export", "logs:read"]);
    assert!(matches!(auditor.who, Who::Member { role: Role::Auditor, operator: false, .. }));
    for role in [Role::MerchantAdmin, Role::MerchantStaff] {
        assert_eq!(service.member_create(&machine, spec("m@example.com", role)).await.unwrap_err().kind(), Kind::Invalid);
        let bad = service.member_update(&machine, member.id, self::role(role)).await.unwrap_err();
        assert_eq!(bad.kind(), Kind::Invalid);
    }
    assert_eq!(service.member_create(&machine, bound(&["a"], spec("o@example.com", Role::Owner))).await.unwrap_err().kind(), Kind::Invalid);
    let (_, staff) = made(&service, &machine, bound(&["a"], spec("s@example.com", Role::MerchantStaff))).await;
    assert_eq!((staff.scopes.names(), staff.organizations.as_deref()), (vec!["events:read"], Some(&["a".to_owned()][..])));
    for strange in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\u{1}", &format!("{}@b", "x".repeat(260))] {
        assert_eq!(service.member_create(&machine, spec(strange, Role::Member)).await.unwrap_err().kind(), Kind::Invalid, "{strange}");
    }
    for strange in ["elevenbytes", &"x".repeat(1025)] {
        let spec = MemberSpec { password: Some(strange.to_owned()), ..spec("p@example.com", Role::Member) };
        assert_eq!(service.member_create(&machine, spec).await.unwrap_err().kind(), Kind::Invalid);
    }
    assert_eq!(service.member_create(&machine, spec("ANN@example.com", Role::Member)).await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owners_make_and_change_owners_and_the_last_one_stays() {
    let (_dir, service, machine) = start().await;
    let first = owner(&service, &machine).await;
    let (ann, admin) = made(&service, &machine, spec("ann@example.com", Role::Admin)).await;
    let admin = manager(&admin);
    let kind = |e: indelible_model::Error| e.kind();
    assert_eq!(service.member_create(&admin, spec("x@example.com", Role::Owner)).await.map_err(kind).unwrap_err(), Kind::Forbidden);
    assert_eq!(service.member_update(&admin, ann.id, role(Role::Owner)).await.map_err(kind).unwrap_err(), Kind::Forbidden);
    for change in [role(Role::Auditor), password("a good password"), MemberChange { active: Some(false), ..MemberChange::default() }] {
        assert_eq!(service.member_update(&admin, first.id, change).await.map_err(kind).unwrap_err(), Kind::Forbidden);
    }
    assert_eq!(service.member_remove(&admin, first.id).await.map_err(kind).unwrap_err(), Kind::Forbidden);
    // Not even the machine leaves a project without an owner.
    for change in [role(Role::Auditor), MemberChange { active: Some(false), ..MemberChange::default() }] {
        assert_eq!(service.member_update(&machine, first.id, change).await.map_err(kind).unwrap_err(), Kind::Conflict);
    }
    assert_eq!(service.member_remove(&machine, first.id).await.map_err(kind).unwrap_err(), Kind::Conflict);
    service.member_update(&machine, ann.id, role(Role::Owner)).await.unwrap();
    let ann = manager(&come(&service, "ann@example.com", PASSWORD).await.unwrap().grant);
    service.member_update(&ann, first.id, role(Role::Member)).await.unwrap();
    service.member_remove(&ann, first.id).await.unwrap();
    // A key is no owner, whatever its scopes.
    let key = grant_of_key(&service, &machine).await;
    assert_eq!(service.member_create(&manager(&key), spec("x@example.com", Role::Owner)).await.map_err(kind).unwrap_err(), Kind::Forbidden);
    service.member_create(&manager(&key), spec("x@example.com", Role::Admin)).await.unwrap();
}

async fn grant_of_key(service: &Service, by: &Caller<CanManageMembers>) -> Grant {
    let key = service.key_create(&by.grant().permit().unwrap(), KeySpec::new("k", Scopes::all())).await.unwrap();
    service.authenticate(crate::Credential::Secret(&key.secret)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_who_has_more() {
    let (_dir, service, machine) = start().await;
    let (ann, _) = made(&service, &machine, spec("ann@example.com", Role::Admin)).await;
    let clerk = service.key_create(&machine.grant().permit().unwrap(), KeySpec::new("clerk", Scopes::of(&[Scope::MembersManage, Scope::EventsRead]))).await.unwrap();
    let clerk = manager(&service.authenticate(crate::Credential::Secret(&clerk.secret)).await.unwrap());
    let kinds = [
        service.member_update(&clerk, ann.id, password("a good password")).await.unwrap_err().kind(),
        service.member_update(&clerk, ann.id, role(Role::MerchantStaff)).await.unwrap_err().kind(),
        service.member_remove(&clerk, ann.id).await.unwrap_err().kind(),
        service.member_create(&clerk, spec("x@example.com", Role::Auditor)).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [Kind::Forbidden; 4]);
    service.member_create(&clerk, bound(&["a"], spec("x@example.com", Role::MerchantStaff))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_manager_sees_bound_members_only() {
    let (_dir, service, machine) = start().await;
    let (_, bea) = made(&service, &machine, bound(&["a", "b"], spec("bea@example.com", Role::Admin))).await;
    let (inner, _) = made(&service, &machine, bound(&["a"], spec("in@example.com", Role::MerchantStaff))).await;
    let (outer, _) = made(&service, &machine, bound(&["c"], spec("out@example.com", Role::MerchantStaff))).await;
    let (both, _) = made(&service, &machine, bound(&["a", "c"], spec("both@example.com", Role::MerchantStaff))).await;
    let whole = owner(&service, &machine).await;
    let bea = manager(&bea);
    let mut seen: Vec<_> = service.members(&bea).await.unwrap().into_iter().map(|m| m.email).collect();
    seen.sort();
    assert_eq!(seen, ["bea@example.com", "in@example.com"]);
    let missing = service.member_remove(&bea, MemberId([9; 16])).await.unwrap_err();
    for id in [outer.id, both.id, whole.id] {
        for error in [service.member_remove(&bea, id).await.unwrap_err(), service.member_update(&bea, id, role(Role::Auditor)).await.unwrap_err()] {
            assert_eq!((error.kind(), error.to_string()), (missing.kind(), missing.to_string()));
        }
    }
    let wider = MemberChange { organizations: Some(Some(vec!["a".into(), "c".into()])), ..MemberChange::default() };
    assert_eq!(service.member_update(&bea, inner.id, wider).await.unwrap_err().kind(), Kind::Forbidden);
    let free = MemberChange { organizations: Some(None), ..MemberChange::default() };
    assert_eq!(service.member_update(&bea, inner.id, free).await.unwrap().organizations.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
    assert_eq!(service.member_create(&bea, spec("new@example.com", Role::Auditor)).await.unwrap().organizations, bea.grant().organizations);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_project_says_nothing_of_a_person_in_another() {
    let (_dir, service, machine) = start().await;
    let other = service.project_create(&service.on_the_machine(), "other").await.unwrap();
    let other_machine: Caller<CanManageMembers> = service.operator(other).await.unwrap().permit().unwrap();
    let (eve, _) = made(&service, &other_machine, spec("eve@example.com", Role::Owner)).await;
    let (ann, _) = made(&service, &machine, spec("ann@example.com", Role::Auditor)).await;
    let eve = manager(&come(&service, &eve.email, PASSWORD).await.unwrap().grant);
    // Somebody who is known elsewhere is made like anybody, with a password for here.
    let there = MemberSpec { name: "Annie".into(), password: Some("eves password".to_owned()), ..spec("ann@example.com", Role::Owner) };
    let there = service.member_create(&eve, there).await.unwrap();
    assert_eq!((there.id, there.name.as_str()), (ann.id, "Annie"));
    let again = service.member_create(&eve, spec("ann@example.com", Role::Member)).await.unwrap_err();
    assert_eq!((again.kind(), again.to_string().as_str()), (Kind::Conflict, "Somebody with this e-mail address is a member already."));
    // Each password opens its own project, and needs no name of it.
    let here = come(&service, "ann@example.com", PASSWORD).await.unwrap().grant;
    assert!(here.project == machine.project() && matches!(&here.who, Who::Member { name, .. } if name == "Somebody"));
    assert_eq!(come(&service, "ann@example.com", "eves password").await.unwrap().grant.project, other);
    assert!(come_to(&service, "ann@example.com", "eves password", Some("default")).await.is_err());
    // Nothing that is done there holds here.
    service.member_update(&eve, ann.id, password("eves new password")).await.unwrap();
    assert!(come(&service, "ann@example.com", "eves password").await.is_err());
    service.member_update(&eve, ann.id, MemberChange { active: Some(false), ..MemberChange::default() }).await.unwrap();
    service.member_remove(&eve, ann.id).await.unwrap();
    assert!(service.still_valid(&here).await.unwrap() && come(&service, "ann@example.com", PASSWORD).await.is_ok());
    service.member_update(&machine, ann.id, password("another password")).await.unwrap();
    assert!(come(&service, "ann@example.com", PASSWORD).await.is_err());
    assert!(!service.still_valid(&here).await.unwrap());
    // Whom nobody knows any more is nobody, and another project may make them anew.
    service.member_remove(&machine, ann.id).await.unwrap();
    let (anew, _) = made(&service, &eve, spec("ann@example.com", Role::Member)).await;
    assert_ne!(anew.id, ann.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_somebody_first_does_not_get_in_elsewhere() {
    let (_dir, service, machine) = start().await;
    let other = service.project_create(&service.on_the_machine(), "other").await.unwrap();
    let eve: Caller<CanManageMembers> = service.operator(other).await.unwrap().permit().unwrap();
    made(&service, &eve, spec("newhire@example.com", Role::Member)).await;
    service.member_create(&machine, spec("newhire@example.com", Role::Admin)).await.unwrap();
    assert_eq!(come(&service, "newhire@example.com", PASSWORD).await.unwrap().grant.project, other);
    assert_eq!(come_to(&service, "newhire@example.com", PASSWORD, Some("default")).await.unwrap_err().kind(), Kind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_password_is_not_a_projects() {
    let (_dir, service, machine) = start().await;
    let first = owner(&service, &machine).await;
    let (ann, _) = made(&service, &machine, spec("ann@example.com", Role::Owner)).await;
    let ann_grant = come(&service, &ann.email, PASSWORD).await.unwrap().grant;
    assert_eq!(service.member_update(&manager(&ann_grant), first.id, password("a good password")).await.unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(ann_grant.admin().unwrap_err().kind(), Kind::Forbidden);
    // Own ones are everybody's.
    service.member_update(&manager(&ann_grant), ann.id, password("a better password")).await.unwrap();
    service.member_operator(&service.on_the_machine(), &machine, ann.id, true).await.unwrap();
    let ann = come(&service, &ann.email, "a better password").await.unwrap().grant;
    service.member_update(&manager(&ann), first.id, password("a good password")).await.unwrap();
    // An operator makes projects, and owns what they make.
    let made = service.project_create(&ann.admin().unwrap(), "new").await.unwrap();
    assert_eq!(service.project_create(&ann.admin().unwrap(), "new").await.unwrap_err().kind(), Kind::Conflict);
    let own: Vec<_> = service.projects_of(&ann).await.unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(own, ["default", "new"]);
    assert_eq!(come_to(&service, "ann@example.com", "a better password", Some("new")).await.unwrap().grant.project, made);
    let members = service.members(&service.operator(made).await.unwrap().permit().unwrap()).await.unwrap();
    assert_eq!(members.iter().map(|m| (m.email.as_str(), m.role)).collect::<Vec<_>>(), [("ann@example.com", Role::Owner)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_log() {
    let (_dir, service, machine) = start().await;
    let member = service.member_create(&machine, MemberSpec { password: Some(PASSWORD.into()), ..spec("ann@example.com", Role::Member) }).await.unwrap();
    service.member_update(&machine, member.id, role(Role::Auditor)).await.unwrap();
    service.member_update(&machine, member.id, role(Role::Auditor)).await.unwrap();
    service.member_update(&machine, member.id, password("a better password")).await.unwrap();
    service.member_remove(&machine, member.id).await.unwrap();
    let facts = facts(&service, machine.grant()).await;
    let actions: Vec<_> = facts[3..].iter().map(|f| f["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["member.created", "member.updated", "member.updated", "member.removed"]);
    assert_eq!((&facts[4]["diff"]["before"]["role"], &facts[4]["diff"]["after"]["role"]), (&"member".into(), &"auditor".into()));
    assert!(facts[3..].iter().all(|f| f["target"]["id"] == member.id.to_string() && f["actor"]["type"] == "operator"));
    let text = Value::from(facts).to_string();
    assert!(!text.contains(PASSWORD) && !text.contains("better") && !text.contains("argon2"));
}
