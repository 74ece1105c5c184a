//! Our own tokens through the service: which are good, on which node, and for how long.

use indelible_model::{Clock, Ids, Kind, Timestamp};
use serde_json::Value;

use super::*;
use crate::{Config, testing};

const START: &str = "2026-02-10T14:32:15Z";
const DAY: i64 = 86_400_000_000;
const ID: TokenId = TokenId([5; 16]);

async fn node(config: &Config, seed: u64) -> Service {
    Service::open(config.clone(), Clock::fixed(Timestamp::parse(START).unwrap()), Ids::seeded(seed)).await.unwrap()
}

fn claims(service: &Service, seconds: i64) -> OwnClaims {
    let now = service.clock().now();
    let expires_at = Timestamp::clamped(now.micros() + seconds * 1_000_000);
    OwnClaims { id: ID, subject: "mem_x".into(), project: ProjectId([1; 16]), issued_at: now, expires_at }
}

async fn own(service: &Service, jwt: &str) -> Option<TokenId> {
    match service.read_jwt(jwt).await {
        Ok(Bearer::Own(id)) => Some(id),
        Ok(Bearer::Foreign(_)) => panic!("foreign"),
        Err(e) => {
            assert_eq!((e.kind(), e.public(), e.internal_message()), (Kind::Unauthenticated, refused().public(), None));
            None
        }
    }
}

async fn key_ids(service: &Service) -> Vec<String> {
    let set: Value = serde_json::from_str(&service.jwks().await.unwrap()).unwrap();
    set["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_node_is_good_on_another_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = testing::config(dir.path());
    let (a, b) = (node(&config, 1).await, node(&config, 2).await);
    // Both look, and find no key.
    assert_eq!((key_ids(&a).await.len(), key_ids(&b).await.len()), (0, 0));
    let jwt = a.sign_jwt(&claims(&a, 3600)).await.unwrap();
    assert_eq!(own(&a, &jwt).await, Some(ID));
    assert_eq!(own(&b, &jwt).await, Some(ID));
    let back = b.sign_jwt(&claims(&b, 3600)).await.unwrap();
    assert_eq!(own(&a, &back).await, Some(ID));
    assert_eq!(key_ids(&a).await.len(), 1);
    // An hour later, and the minute that clocks may differ.
    a.clock().advance(3659 * 1_000_000);
    assert_eq!(own(&a, &jwt).await, Some(ID));
    a.clock().advance(1_000_000);
    assert_eq!(own(&a, &jwt).await, None);
    assert_eq!(own(&b, &jwt).await, Some(ID));
    b.clock().advance(-61 * 1_000_000);
    assert_eq!(own(&b, &jwt).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_every_week_and_stay_until_their_tokens_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = testing::config(dir.path());
    let (a, b) = (node(&config, 1).await, node(&config, 2).await);
    a.sign_jwt(&claims(&a, 60)).await.unwrap();
    let first = key_ids(&a).await;
    for node in [&a, &b] {
        node.clock().advance(7 * DAY - 1_000_000);
    }
    let last = a.sign_jwt(&claims(&a, 86_400)).await.unwrap();
    assert_eq!(key_ids(&b).await, first);
    for node in [&a, &b] {
        node.clock().advance(1_000_000);
    }
    // Two nodes find the week over at the same time: one key is made.
    let (one, two) = (claims(&a, 60), claims(&b, 60));
    let (one, two) = tokio::join!(a.sign_jwt(&one), b.sign_jwt(&two));
    for jwt in [one.unwrap(), two.unwrap()] {
        assert_eq!((own(&a, &jwt).await, own(&b, &jwt).await), (Some(ID), Some(ID)));
    }
    let both = key_ids(&a).await;
    assert_eq!((both.len(), &both[1..]), (2, &first[..]));
    a.clock().advance(DAY - 2_000_000);
    assert_eq!(own(&a, &last).await, Some(ID));
    a.clock().advance(2 * 600_000_000);
    assert_eq!(key_ids(&a).await, both[..1]);
    assert_eq!(own(&a, &last).await, None);
    // Out of the database at the next change.
    a.clock().advance(6 * DAY);
    a.sign_jwt(&claims(&a, 60)).await.unwrap();
    let stored = a.inner.store.glance().await.unwrap().signing_key_list().await.unwrap();
    assert_eq!(stored.len(), 2);
    assert!(a.sign_jwt(&claims(&a, 86_401)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_ours_for_something_else_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = testing::config(dir.path());
    let service = node(&config, 1).await;
    let good = service.sign_jwt(&claims(&service, 60)).await.unwrap();
    let key = service.signing_key().await.unwrap();
    let payload = |change: &dyn Fn(&mut Value)| {
        let now = service.clock().now().micros() / 1_000_000;
        let mut claims = json!({ "iss": "indelible", "aud": "indelible", "sub": "mem_x", "jti": ID.to_string(), "iat": now, "nbf": now, "exp": now + 60 });
        change(&mut claims);
        claims
    };
    assert_eq!(own(&service, &sign(&key.pair, &key.id, "at+jwt", &payload(&|_| ()))).await, Some(ID));
    for kind in ["JWT", "jwt", "at+JWT", "oidc-state+jwt", "application/at+jwt", ""] {
        assert_eq!(own(&service, &sign(&key.pair, &key.id, kind, &payload(&|_| ()))).await, None, "{kind}");
    }
    let wrong: [&dyn Fn(&mut Value); 8] = [
        &|c| c["aud"] = json!("other"),
        &|c| c["aud"] = json!("indelible-oidc"),
        &|c| c["iss"] = json!("other"),
        &|c| c["jti"] = json!("x"),
        &|c| c["jti"] = json!("key_05050505050505050505050505050505"),
        &|c| drop(c.as_object_mut().unwrap().remove("jti")),
        &|c| drop(c.as_object_mut().unwrap().remove("exp")),
        &|c| drop(c.as_object_mut().unwrap().remove("aud")),
    ];
    for (i, change) in wrong.iter().enumerate() {
        assert_eq!(own(&service, &sign(&key.pair, &key.id, "at+jwt", &payload(change))).await, None, "{i}");
    }
    // The name of a key is a name, and nothing else.
    for id in ["", "../../../../dev/null", "' OR '1'='1", "x'; DROP TABLE signing_keys; --", "file:///etc/passwd", "http://localhost/key", "\u{0}", "k\u{fc}"] {
        assert_eq!(own(&service, &sign(&key.pair, id, "at+jwt", &payload(&|_| ()))).await, None, "{id}");
    }
    assert_eq!(own(&service, &good).await, Some(ID));
    // Another issuer's name on the same store.
    let other = node(&Config { issuer: "https://audit.example".into(), ..config }, 2).await;
    assert_eq!(own(&other, &good).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_unknown_keys_has_a_pace() {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&testing::config(dir.path()), 1).await;
    let jwt = service.sign_jwt(&claims(&service, 60)).await.unwrap();
    let key = service.signing_key().await.unwrap();
    let (_, payload) = jwt.split_once('.').unwrap();
    assert!(payload.len() > 100);
    let before = service.database_counters().statements;
    let foreign = sign(&key.pair, "unknown", "at+jwt", &json!({ "iss": "indelible" }));
    let all: Vec<_> = (0..200).map(|_| own(&service, &foreign)).collect();
    assert!(futures_util::future::join_all(all).await.iter().all(Option::is_none));
    assert!(service.database_counters().statements - before < 10);
    // Good ones need the database for nothing.
    let before = service.database_counters().statements;
    for _ in 0..100 {
        assert_eq!(own(&service, &jwt).await, Some(ID));
    }
    assert_eq!(service.database_counters().statements, before);
}
