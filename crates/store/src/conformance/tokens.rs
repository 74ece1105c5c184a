//! Tokens, and what they stand for.

use indelible_model::{KeyId, Kind, MemberId, TokenId};

use super::*;
use crate::{Held, Holder, KeyRow, Membership, TokenHit, TokenRow};

fn token(id: u8, holder: Holder) -> TokenRow {
    TokenRow {
        id: TokenId([id; 16]),
        project: P,
        kind: "session".into(),
        holder,
        parent: None,
        role: None,
        scopes: 3,
        scope: "api exports".into(),
        organizations: Some(r#"["a"]"#.into()),
        created_at: at(5),
        expires_at: at(100 + i64::from(id)),
        revoked_at: None,
    }
}

const KEY: Holder = Holder::Key(KeyId([1; 16]));
const MEMBER: Holder = Holder::Member(MemberId([1; 16]));

pub(super) async fn a_token_is_found_with_its_holder(bench: &Bench) {
    let of_key = token(1, KEY);
    let of_member = TokenRow { parent: Some(of_key.id), role: Some("auditor".into()), organizations: None, ..token(2, MEMBER) };
    let mut tx = bench.store.write().await.unwrap();
    tx.key_create(&projects::key(1, P, 1)).await.unwrap();
    members::join(&mut tx, 1, &[P, Q]).await;
    for token in [&of_key, &of_member] {
        tx.token_create(token).await.unwrap();
    }
    assert_eq!(tx.token_create(&TokenRow { project: NOBODY, ..token(3, KEY) }).await.unwrap_err().kind(), Kind::NotFound);
    tx.commit().await.unwrap();
    let mut tx = bench.store.write().await.unwrap();
    let before = bench.store.counters().statements;
    assert_eq!(tx.token_find(of_key.id).await.unwrap(), Some(TokenHit { token: of_key.clone(), holder: Some(Held::Key(projects::key(1, P, 1))) }));
    assert_eq!(bench.store.counters().statements, before + 1);
    assert_eq!(tx.token_find(of_member.id).await.unwrap(), Some(TokenHit { token: of_member.clone(), holder: Some(Held::Member(members::membership(1, P))) }));
    assert_eq!(tx.token_find(TokenId([9; 16])).await.unwrap(), None);
    // What the holder is now.
    tx.key_revoke(P, KeyId([1; 16]), at(30)).await.unwrap();
    tx.membership_update(&Membership { active: false, ..members::membership(1, P) }).await.unwrap();
    tx.project_update(P, "new", "pro").await.unwrap();
    let now = KeyRow { project_name: "new".into(), plan: "pro".into(), revoked_at: Some(at(30)), ..projects::key(1, P, 1) };
    assert_eq!(tx.token_find(of_key.id).await.unwrap().unwrap().holder, Some(Held::Key(now)));
    assert!(matches!(tx.token_find(of_member.id).await.unwrap().unwrap().holder, Some(Held::Member(m)) if !m.active && m.plan == "pro"));
    // A membership of another project is none.
    tx.membership_remove(P, MemberId([1; 16])).await.unwrap();
    assert_eq!(tx.token_find(of_member.id).await.unwrap(), Some(TokenHit { token: of_member, holder: None }));
}

pub(super) async fn what_was_made_from_a_token_goes_with_it(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    for (id, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, None)] {
        tx.token_create(&TokenRow { parent: parent.map(|p| TokenId([p; 16])), ..token(id, KEY) }).await.unwrap();
    }
    assert!(!tx.token_revoke(Q, TokenId([1; 16]), at(50)).await.unwrap());
    assert!(!tx.token_revoke(P, TokenId([9; 16]), at(50)).await.unwrap());
    assert!(tx.token_revoke(P, TokenId([2; 16]), at(50)).await.unwrap());
    assert!(!tx.token_revoke(P, TokenId([2; 16]), at(51)).await.unwrap());
    assert!(tx.token_revoke(P, TokenId([1; 16]), at(60)).await.unwrap());
    let mut revoked = Vec::new();
    for id in 1..=4 {
        revoked.push(tx.token_find(TokenId([id; 16])).await.unwrap().unwrap().token.revoked_at);
    }
    assert_eq!(revoked, [Some(at(60)), Some(at(50)), Some(at(50)), None]);
}

pub(super) async fn a_persons_tokens_are_revoked_together(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    tx.token_create(&token(1, MEMBER)).await.unwrap();
    tx.token_create(&TokenRow { project: Q, ..token(2, MEMBER) }).await.unwrap();
    tx.token_create(&token(3, Holder::Member(MemberId([2; 16])))).await.unwrap();
    tx.token_create(&token(4, KEY)).await.unwrap();
    assert_eq!(tx.token_revoke_member(MemberId([1; 16]), Some(Q), at(50)).await.unwrap(), 1);
    assert_eq!(tx.token_revoke_member(MemberId([1; 16]), None, at(60)).await.unwrap(), 1);
    let mut revoked = Vec::new();
    for id in 1..=4 {
        revoked.push(tx.token_find(TokenId([id; 16])).await.unwrap().unwrap().token.revoked_at);
    }
    assert_eq!(revoked, [Some(at(60)), Some(at(50)), None, None]);
}

pub(super) async fn tokens_that_ended_are_forgotten(bench: &Bench) {
    let mut tx = bench.store.write().await.unwrap();
    for id in 1..=4 {
        tx.token_create(&token(id, KEY)).await.unwrap();
    }
    assert!(!tx.token_any_before(at(101)).await.unwrap());
    assert!(tx.token_any_before(at(104)).await.unwrap());
    assert_eq!(tx.token_expire(at(104), 2).await.unwrap(), 2);
    assert_eq!(tx.token_expire(at(104), 2).await.unwrap(), 1);
    assert!(tx.token_find(TokenId([3; 16])).await.unwrap().is_none());
    assert!(tx.token_find(TokenId([4; 16])).await.unwrap().is_some());
}
