//! Keys: who makes which, what they are worth, and how long.

use indelible_model::{Kind, Timestamp, ids};
use serde_json::Value;

use super::{DAY, grant, node, small};
use crate::{
    CanManageKeys, CanManageMembers, CanRead, CanTimeline, Config, Credential, Face, Grant, Key, KeySpec, NewKey, Plans, ProjectChange, Role, Scope, Scopes, Service, testing,
};

async fn start() -> (tempfile::TempDir, Service, Grant) {
    let dir = tempfile::tempdir().unwrap();
    let service = node(&small(testing::config(dir.path())), 1).await;
    let owner = grant(&service).await;
    (dir, service, owner)
}

async fn make(service: &Service, by: &Grant, spec: KeySpec) -> NewKey {
    service.key_create(&by.permit::<CanManageKeys>().unwrap(), spec).await.unwrap()
}

async fn refused(service: &Service, by: &Grant, spec: KeySpec) -> Kind {
    service.key_create(&by.permit::<CanManageKeys>().unwrap(), spec).await.unwrap_err().kind()
}

async fn come(service: &Service, secret: &str) -> Result<Grant, Kind> {
    service.authenticate(Credential::Secret(secret)).await.map_err(|e| e.kind())
}

fn bound(organizations: &[&str], spec: KeySpec) -> KeySpec {
    KeySpec { organizations: Some(organizations.iter().map(|&o| o.to_owned()).collect()), ..spec }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_face_comes_in_by_its_secret_and_as_a_pair() {
    let (_dir, service, owner) = start().await;
    let mut all = Vec::new();
    for face in Face::ALL {
        let scopes = if face == Face::Widget { Scopes::of(&[Scope::Timeline]) } else { Scopes::all() };
        all.push(make(&service, &owner, KeySpec { face, ..KeySpec::new(face.name(), scopes) }).await);
    }
    let other = &all[0].key;
    for NewKey { key, secret } in &all {
        assert!(secret.ends_with(&key.hint) && key.hint.len() == 4);
        let came = come(&service, secret).await.unwrap();
        assert_eq!((came.project, came.scopes, came.token), (owner.project, key.scopes, None));
        assert!(matches!(came.who, crate::Who::Key { id, face, .. } if id == key.id && face == key.face));
        let pair = async |application: &str, token: &str| service.authenticate(Credential::Pair { application, token }).await;
        for application in [ids::dashed(&key.id.0), ids::dashed(&key.id.0).to_uppercase(), key.id.to_string()] {
            assert_eq!(pair(&application, secret).await.unwrap().project, owner.project);
        }
        let unknown = pair(&ids::dashed(&key.id.0), &"x".repeat(43)).await.unwrap_err();
        let strange = [ids::dashed(&[7; 16]), ids::dashed(&other.id.0), String::new(), "key_1".to_owned()];
        for application in strange.iter().filter(|a| **a != ids::dashed(&key.id.0)) {
            let error = pair(application, secret).await.unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (Kind::Unauthenticated, unknown.to_string()), "{application}");
        }
    }
    let widget = come(&service, &all[1].secret).await.unwrap();
    assert!(widget.permit::<CanTimeline>().is_ok() && widget.permit::<CanRead>().is_err());
    assert_eq!(refused(&service, &owner, KeySpec { face: Face::Widget, ..KeySpec::new("w", Scopes::all()) }).await, Kind::Invalid);
    for strange in ["", "x", "a.b.c", &"x".repeat(16), &"x".repeat(10_000), "lp_sk_test_0123456788"] {
        assert_eq!(come(&service, strange).await.unwrap_err(), Kind::Unauthenticated, "{strange}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_when_it_is_revoked_or_its_time_has_come() {
    let (_dir, service, owner) = start().await;
    let now = service.clock().now();
    let at = |days: i64| Some(indelible_model::Timestamp::clamped(now.micros() + days * DAY));
    assert_eq!(refused(&service, &owner, KeySpec { expires_at: at(0), ..KeySpec::new("old", Scopes::all()) }).await, Kind::Invalid);
    let short = make(&service, &owner, KeySpec { expires_at: at(1), ..KeySpec::new("short", Scopes::all()) }).await;
    let long = make(&service, &owner, KeySpec { expires_at: at(30), ..KeySpec::new("long", Scopes::all()) }).await;
    let (was, other) = (come(&service, &short.secret).await.unwrap(), come(&service, &long.secret).await.unwrap());
    assert!(service.still_valid(&was).await.unwrap());
    service.clock().advance(DAY);
    assert_eq!(come(&service, &short.secret).await.unwrap_err(), Kind::Unauthenticated);
    assert!(!service.still_valid(&was).await.unwrap() && service.still_valid(&other).await.unwrap());
    // Of another project a key is as one that is not there.
    let foreign = service.project_create(&service.on_the_machine(), "foreign").await.unwrap();
    let stranger = service.operator(foreign).await.unwrap().permit::<CanManageKeys>().unwrap();
    assert_eq!(service.key_revoke(&stranger, long.key.id).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.key_rename(&stranger, long.key.id, "mine").await.unwrap_err().kind(), Kind::NotFound);
    let keys = owner.permit::<CanManageKeys>().unwrap();
    assert_eq!(service.key_rename(&keys, long.key.id, "longer").await.unwrap().name, "longer");
    service.key_revoke(&keys, long.key.id).await.unwrap();
    assert_eq!(come(&service, &long.secret).await.unwrap_err(), Kind::Unauthenticated);
    assert!(!service.still_valid(&other).await.unwrap());
    assert_eq!(service.key_revoke(&keys, long.key.id).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_more_than_they_have() {
    let (_dir, service, owner) = start().await;
    let clerk = make(&service, &owner, bound(&["b", "a", "b"], KeySpec::new("clerk", Scopes::of(&[Scope::KeysManage, Scope::EventsRead])))).await;
    assert_eq!(clerk.key.organizations.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
    let clerk = come(&service, &clerk.secret).await.unwrap();
    let read = || KeySpec::new("read", Scopes::of(&[Scope::EventsRead]));
    assert_eq!(refused(&service, &clerk, KeySpec::new("write", Scopes::of(&[Scope::EventsRead, Scope::EventsWrite]))).await, Kind::Forbidden);
    assert_eq!(refused(&service, &clerk, bound(&["a", "c"], read())).await, Kind::Forbidden);
    for strange in [&[][..], &[""], &["a\0"]] {
        assert_eq!(refused(&service, &clerk, bound(strange, read())).await, Kind::Invalid);
    }
    assert_eq!(refused(&service, &clerk, KeySpec::new("nothing", Scopes::of(&[]))).await, Kind::Invalid);
    // Without a wish a key sees what its maker sees; reading events includes the timeline.
    let same = make(&service, &clerk, KeySpec { face: Face::Widget, ..KeySpec::new("same", Scopes::of(&[Scope::Timeline])) }).await;
    assert_eq!(same.key.organizations, clerk.organizations);
    let less = make(&service, &clerk, bound(&["a"], read())).await;
    assert_eq!(come(&service, &less.secret).await.unwrap().organizations.as_deref(), Some(&["a".to_owned()][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_keys_end_with_it_and_are_no_faster() {
    let (_dir, service, owner) = start().await;
    let spec = || KeySpec::new("k", Scopes::of(&[Scope::KeysManage, Scope::EventsRead]));
    let after = |micros: i64| Timestamp::clamped(service.clock().now().micros() + micros);
    let end = after(DAY);
    let maker = make(&service, &owner, KeySpec { expires_at: Some(end), per_minute: Some(60), ..spec() }).await;
    let maker = come(&service, &maker.secret).await.unwrap();
    let same = make(&service, &maker, spec()).await.key;
    assert_eq!((same.expires_at, same.per_minute), (Some(end), Some(60)));
    let sooner = after(DAY - 1);
    let less = make(&service, &maker, KeySpec { expires_at: Some(sooner), per_minute: Some(59), ..spec() }).await.key;
    assert_eq!((less.expires_at, less.per_minute), (Some(sooner), Some(59)));
    assert_eq!(refused(&service, &maker, KeySpec { expires_at: Some(after(DAY + 1)), ..spec() }).await, Kind::Forbidden);
    assert_eq!(refused(&service, &maker, KeySpec { per_minute: Some(61), ..spec() }).await, Kind::Forbidden);
    // One without an end gives any, and its token makes none.
    let free = make(&service, &owner, KeySpec { per_minute: Some(1000), ..spec() }).await;
    let free = come(&service, &free.secret).await.unwrap();
    make(&service, &free, KeySpec { expires_at: Some(after(2 * DAY)), ..spec() }).await;
    let session = service.token_for_key(&free, free.scopes, "api").await.unwrap();
    assert_eq!(refused(&service, &come(&service, &session.jwt).await.unwrap(), spec()).await, Kind::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_caller_sees_and_manages_bound_keys_only() {
    let (_dir, service, owner) = start().await;
    let mut made = Vec::new();
    for organizations in [&["a"][..], &["a", "b"], &["c"], &["a", "c"]] {
        made.push(make(&service, &owner, bound(organizations, KeySpec::new("k", Scopes::all()))).await);
    }
    let whole = make(&service, &owner, KeySpec::new("whole", Scopes::all())).await.key;
    let clerk = come(&service, &made[1].secret).await.unwrap().permit::<CanManageKeys>().unwrap();
    let mut seen: Vec<_> = service.keys(&clerk).await.unwrap().into_iter().map(|k| k.id).collect();
    seen.sort();
    let mut want = [made[0].key.id, made[1].key.id];
    want.sort();
    assert_eq!(seen, want);
    let missing = service.key_revoke(&clerk, indelible_model::KeyId([9; 16])).await.unwrap_err();
    for key in [&made[2].key, &made[3].key, &whole] {
        for error in [service.key_revoke(&clerk, key.id).await.unwrap_err(), service.key_rename(&clerk, key.id, "x").await.unwrap_err()] {
            assert_eq!((error.kind(), error.to_string()), (missing.kind(), missing.to_string()));
        }
    }
    service.key_revoke(&clerk, made[0].key.id).await.unwrap();
    let live = |k: &Key| k.revoked_at.is_none();
    assert_eq!(service.keys(&owner.permit().unwrap()).await.unwrap().iter().filter(|k| live(k)).count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_limits_keys_and_members() {
    let dir = tempfile::tempdir().unwrap();
    let plans = Plans::new(Some("[small]\nkeys = 2\nmembers = 2\n"), "unrestricted").unwrap();
    let service = node(&Config { plans, ..small(testing::config(dir.path())) }, 1).await;
    let owner = grant(&service).await;
    let admin = service.on_the_machine();
    let change = |plan: &str| ProjectChange { plan: Some(plan.to_owned()), ..ProjectChange::default() };
    assert_eq!(service.project_update(&admin, owner.project, change("large")).await.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(service.project_update(&admin, owner.project, change("small")).await.unwrap().plan, "small");
    for default in ["default", ""] {
        assert_eq!(service.project_update(&admin, owner.project, change(default)).await.unwrap().plan, "");
        assert_eq!(service.plan(default).unwrap().name, "unrestricted");
        service.project_update(&admin, owner.project, change("small")).await.unwrap();
    }
    let owner = come(&service, "lp_sk_test_0123456789").await.unwrap();
    assert_eq!(owner.plan.name, "small");
    let second = make(&service, &owner, KeySpec::new("second", Scopes::all())).await;
    assert_eq!(refused(&service, &owner, KeySpec::new("third", Scopes::all())).await, Kind::PlanLimit);
    service.key_revoke(&owner.permit().unwrap(), second.key.id).await.unwrap();
    make(&service, &owner, KeySpec::new("third", Scopes::all())).await;
    let members = owner.permit::<CanManageMembers>().unwrap();
    let spec = |n: u8| super::members::spec(&format!("m{n}@example.com"), Role::Member);
    service.member_create(&members, spec(1)).await.unwrap();
    assert_eq!(service.member_create(&members, spec(2)).await.unwrap_err().kind(), Kind::PlanLimit);
    // Who has the machine needs no plan.
    let operator = service.operator(owner.project).await.unwrap();
    make(&service, &operator, KeySpec::new("fourth", Scopes::all())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_written_once_a_minute_beside_the_requests() {
    let (_dir, service, owner) = start().await;
    let keys = owner.permit::<CanManageKeys>().unwrap();
    let used = async || service.keys(&keys).await.unwrap()[0].last_used_at;
    assert_eq!(used().await, None);
    service.sweep_now().await;
    let first = service.clock().now();
    assert_eq!(used().await, Some(first));
    for seconds in [59, 1] {
        service.clock().advance(seconds * 1_000_000);
        let before = service.database_counters().statements;
        come(&service, "lp_sk_test_0123456789").await.unwrap();
        assert_eq!(service.database_counters().statements - before, 1, "a request costs one statement");
        service.sweep_now().await;
    }
    assert_eq!(used().await.unwrap().micros(), first.micros() + 60_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_log() {
    let (_dir, service, owner) = start().await;
    let keys = owner.permit::<CanManageKeys>().unwrap();
    let made = make(&service, &owner, bound(&["a"], KeySpec { per_minute: Some(5), ..KeySpec::new("one", Scopes::of(&[Scope::Verify])) })).await;
    service.key_rename(&keys, made.key.id, "two").await.unwrap();
    service.key_revoke(&keys, made.key.id).await.unwrap();
    let facts = super::members::facts(&service, &owner).await;
    let actions: Vec<_> = facts.iter().map(|f| f["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["project.created", "key.created", "member.created", "key.created", "key.renamed", "key.revoked"]);
    let text = Value::from(facts.clone()).to_string();
    assert!(!text.contains(&made.secret) && !text.contains("lp_sk_test_0123456789"));
    assert_eq!(facts[3]["target"]["id"], made.key.id.to_string());
    assert_eq!(facts[3]["actor"]["type"], "api_key");
    assert_eq!(facts[3]["diff"]["after"]["organizations"], serde_json::json!(["a"]));
    assert_eq!(facts[4]["diff"], serde_json::json!({"before": {"name": "one"}, "after": {"name": "two"}}));
}
