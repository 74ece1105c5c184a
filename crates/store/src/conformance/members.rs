//! Members, memberships, identities.

use indelible_model::{Kind, MemberId};

use super::*;
use crate::{Identity, MemberRow, Membership, WriteTx};

pub(crate) fn person(id: u8) -> MemberRow {
    MemberRow { id: MemberId([id; 16]), email: format!("m{id}@example.com"), created_at: at(id.into()) }
}

pub(crate) fn membership(id: u8, project: ProjectId) -> Membership {
    Membership {
        project,
        project_name: if project == P { "default" } else { "other" }.into(),
        plan: String::new(),
        member: MemberId([id; 16]),
        email: format!("m{id}@example.com"),
        operator: id == 1,
        password_hash: (id == 1).then(|| "$argon2id$x".into()),
        name: format!("Member {id}"),
        role: "auditor".into(),
        organizations: Some(r#"["a","b"]"#.into()),
        active: true,
        created_at: at(100 - i64::from(id)),
    }
}

pub(crate) async fn join(tx: &mut WriteTx, id: u8, projects: &[ProjectId]) {
    tx.member_create(&person(id)).await.unwrap();
    for project in projects {
        assert!(tx.membership_create(&membership(id, *project)).await.unwrap());
    }
}

pub(super) async fn a_person_has_one_address(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    assert!(tx.member_create(&person(1)).await.unwrap());
    assert!(!tx.member_create(&MemberRow { id: MemberId([7; 16]), ..person(1) }).await.unwrap());
    assert!(tx.member_create(&person(2)).await.unwrap());
    assert_eq!(tx.member_by_email("m1@example.com").await.unwrap(), Some(person(1)));
    assert_eq!(tx.member_by_email("M1@example.com").await.unwrap(), None);
    assert_eq!(tx.member_page(None, 9).await.unwrap(), [person(1), person(2)]);
    assert_eq!(tx.member_page(None, 1).await.unwrap(), [person(1)]);
    assert_eq!(tx.member_page(Some(MemberId([1; 16])), 9).await.unwrap(), [person(2)]);
}

pub(super) async fn passwords_and_operators_are_of_one_project(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    join(&mut tx, 2, &[P, Q]).await;
    let two = MemberId([2; 16]);
    assert!(tx.member_password(P, two, "hash").await.unwrap());
    assert!(tx.member_operator(Q, two, true).await.unwrap());
    for (project, member) in [(NOBODY, two), (P, MemberId([9; 16]))] {
        assert!(!tx.member_password(project, member, "hash").await.unwrap());
        assert!(!tx.member_operator(project, member, true).await.unwrap());
    }
    let here = Membership { password_hash: Some("hash".into()), ..membership(2, P) };
    let there = Membership { operator: true, ..membership(2, Q) };
    assert_eq!(tx.memberships(two).await.unwrap(), [here.clone(), there]);
    // Other changes leave both.
    assert!(tx.membership_update(&Membership { name: "New".into(), operator: true, password_hash: None, ..here.clone() }).await.unwrap());
    assert_eq!(tx.membership(P, two).await.unwrap(), Some(Membership { name: "New".into(), ..here }));
}

pub(super) async fn members_belong_to_their_projects(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    join(&mut tx, 1, &[P, Q]).await;
    join(&mut tx, 2, &[P]).await;
    assert!(!tx.membership_create(&membership(2, P)).await.unwrap());
    assert_eq!(tx.membership_create(&membership(2, NOBODY)).await.unwrap_err().kind(), Kind::NotFound);
    let one = MemberId([1; 16]);
    assert_eq!(tx.member_list(P).await.unwrap(), [membership(2, P), membership(1, P)]);
    assert_eq!(tx.memberships(one).await.unwrap(), [membership(1, P), membership(1, Q)]);
    assert_eq!(tx.membership(Q, one).await.unwrap(), Some(membership(1, Q)));
    assert_eq!(tx.membership(Q, MemberId([2; 16])).await.unwrap(), None);
    let changed = Membership { name: "New".into(), role: "owner".into(), organizations: None, active: false, ..membership(1, P) };
    assert!(tx.membership_update(&changed).await.unwrap());
    assert!(!tx.membership_update(&membership(2, Q)).await.unwrap());
    assert_eq!(tx.memberships(one).await.unwrap(), [changed, membership(1, Q)]);
    assert!(!tx.membership_remove(Q, MemberId([2; 16])).await.unwrap());
    assert!(tx.membership_remove(P, one).await.unwrap());
    assert_eq!(tx.memberships(one).await.unwrap(), [membership(1, Q)]);
}

pub(super) async fn who_is_in_no_project_can_be_forgotten(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    join(&mut tx, 1, &[P]).await;
    let (one, here) = (MemberId([1; 16]), Identity { issuer: "https://a".into(), subject: "s".into(), member: MemberId([1; 16]), claims_at: 0 });
    assert!(tx.identity_put(&here).await.unwrap());
    assert!(!tx.member_forget(one).await.unwrap());
    tx.membership_remove(P, one).await.unwrap();
    assert!(tx.member_forget(one).await.unwrap());
    assert!(!tx.member_forget(one).await.unwrap());
    assert_eq!(tx.identity_find("https://a", "s").await.unwrap(), None);
    assert_eq!(tx.member_by_email("m1@example.com").await.unwrap(), None);
}

pub(super) async fn an_identity_is_one_person(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    join(&mut tx, 1, &[P]).await;
    join(&mut tx, 2, &[P]).await;
    let identity = |issuer: &str, subject: &str, member: u8| Identity { issuer: issuer.into(), subject: subject.into(), member: MemberId([member; 16]), claims_at: 7 };
    assert!(tx.identity_put(&identity("https://b", "s", 1)).await.unwrap());
    assert!(tx.identity_put(&identity("https://a", "s", 1)).await.unwrap());
    assert!(tx.identity_put(&identity("https://a", "t", 2)).await.unwrap());
    assert!(!tx.identity_put(&identity("https://a", "s", 2)).await.unwrap());
    assert_eq!(tx.identity_find("https://a", "s").await.unwrap(), Some(identity("https://a", "s", 1)));
    assert_eq!(tx.identity_find("https://a", "u").await.unwrap(), None);
    assert_eq!(tx.identity_list(MemberId([1; 16])).await.unwrap(), [identity("https://a", "s", 1), identity("https://b", "s", 1)]);
    // Claims are applied in the order of their age, whatever the order that they come in.
    for (at, kept) in [(6, 7), (9, 9), (8, 9)] {
        tx.identity_claimed(MemberId([1; 16]), at).await.unwrap();
        assert!(tx.identity_list(MemberId([1; 16])).await.unwrap().iter().all(|i| i.claims_at == kept));
    }
    assert_eq!(tx.identity_find("https://a", "t").await.unwrap(), Some(identity("https://a", "t", 2)));
}
