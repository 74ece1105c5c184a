//! Logins and tokens of a provider, against a small one of our own over TCP that can be told to lie.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use base64::engine::general_purpose::STANDARD;
use indelible_model::{Clock, Ids, MemberId, ProjectId, TokenId};
use indelible_store::{Identity, Membership};
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::caller::Role;
use crate::members::MemberChange;
use crate::sessions::Session;
use crate::tokens::OwnClaims;
use crate::{CanManageMembers, CanRead, CanWrite, Config, Credential, Grant, testing};

const START: &str = "2026-02-10T14:32:15Z";
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const BASE: &str = "https://audit.example.com";
const AUDIENCE: &str = "https://audit.example.com/api";

/// What the provider answers, and what it was asked.
struct State {
    discovery: Value,
    keys: Value,
    token: (u16, String),
    asked: Vec<String>,
}

/// A provider on a port of this machine.
struct Fake {
    issuer: String,
    state: Arc<Mutex<State>>,
    pair: Ed25519KeyPair,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let discovery = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth?tenant=1"), "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"), "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
        });
        let keys = json!({ "keys": [public("one", &pair)] });
        let state = Arc::new(Mutex::new(State { discovery, keys, token: (200, "{}".into()), asked: Vec::new() }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
                    let whole = |r: &[u8]| {
                        let text = String::from_utf8_lossy(r).into_owned();
                        let (head, body) = text.split_once("\r\n\r\n").map(|(h, b)| (h.to_owned(), b.len()))?;
                        let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
                        (body >= length).then_some(())
                    };
                    while whole(&request).is_none() {
                        match socket.read(&mut piece).await {
                            Ok(n) if n > 0 => request.extend_from_slice(&piece[..n]),
                            _ => return,
                        }
                    }
                    let request = String::from_utf8(request).unwrap();
                    let path = request.split(' ').nth(1).unwrap().to_owned();
                    let (status, body) = {
                        let mut state = shared.lock().unwrap();
                        state.asked.push(request);
                        match path.as_str() {
                            "/.well-known/openid-configuration" => (200, state.discovery.to_string()),
                            "/jwks" => (200, state.keys.to_string()),
                            "/token" => state.token.clone(),
                            _ => (404, "nothing".into()),
                        }
                    };
                    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nlocation: /jwks\r\nconnection: close\r\n\r\n{body}", body.len());
                    let _gone = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { issuer, state, pair }
    }
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }
    fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|r| r.split(' ').nth(1) == Some(path)).count()
    }
    fn provider(&self) -> OidcProvider {
        OidcProvider {
            name: "corp".into(),
            issuer: self.issuer.clone(),
            client_id: "in delible".into(),
            client_secret: Some("s+cret/".into()),
            audiences: vec![AUDIENCE.into()],
            scopes: vec!["openid".into(), "email".into()],
            project: "default".into(),
            let_in_unknown: true,
            default_role: None,
            roles_claim: Some("groups".into()),
            roles: BTreeMap::from([("audit".into(), Role::Auditor), ("admin".into(), Role::Admin)]),
            organizations_claim: None,
        }
    }
    /// A token of this provider, with what `change` makes of it.
    fn token(&self, service: &Service, audience: &str, change: impl FnOnce(&mut Value)) -> String {
        let now = service.clock().now().micros() / 1_000_000;
        let mut claims = json!({
            "iss": self.issuer, "aud": audience, "sub": "ann", "iat": now, "exp": now + 300, "groups": ["audit"],
            "name": "Ann", "email": "ann@example.com", "email_verified": true,
        });
        change(&mut claims);
        sign(&self.pair, "one", "JWT", &claims)
    }
    fn answers(&self, token: &str) {
        let body = json!({ "id_token": token, "access_token": "x", "token_type": "Bearer" }).to_string();
        self.change(|s| s.token = (200, body));
    }
}

fn public(kid: &str, pair: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode(pair.public_key()) })
}

async fn open(dir: &tempfile::TempDir, oidc: Vec<OidcProvider>) -> Service {
    let config = Config { oidc, ..testing::config(dir.path()) };
    let service = Service::open(config, Clock::fixed(Timestamp::parse(START).unwrap()), Ids::seeded(1)).await.unwrap();
    service.bootstrap(Some("lp_sk_test_0123456789")).await.unwrap();
    service
}

async fn bearer(service: &Service, token: &str) -> Result<Grant> {
    service.authenticate(Credential::Secret(token)).await
}

async fn refused(service: &Service, token: &str) -> Kind {
    bearer(service, token).await.unwrap_err().kind()
}

fn role(grant: &Grant) -> (MemberId, Role) {
    match &grant.who {
        crate::caller::Who::Member { id, role, .. } => (*id, *role),
        who => panic!("{who:?}"),
    }
}

/// A login that was begun: state, nonce, challenge, and what the browser keeps.
struct Begun {
    kept: String,
    parameters: BTreeMap<String, String>,
}

impl Begun {
    async fn new(service: &Service) -> Self {
        let start = service.oidc_begin("corp", BASE).await.unwrap();
        let url = Url::parse(&start.location).unwrap();
        Self { kept: start.state, parameters: url.query_pairs().into_owned().collect() }
    }
    fn query(&self) -> String {
        format!("code=c1&state={}", self.parameters["state"])
    }
    async fn finish(&self, service: &Service, query: &str) -> Result<Session> {
        service.oidc_finish("corp", &self.kept, query, SOURCE).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_code_ends_in_a_session() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    assert_eq!(service.oidc_names(), ["corp"]);
    let begun = Begun::new(&service).await;
    let p = &begun.parameters;
    assert_eq!((&*p["client_id"], &*p["response_type"], &*p["scope"], &*p["code_challenge_method"], &*p["tenant"]), ("in delible", "code", "openid email", "S256", "1"));
    assert_eq!(p["redirect_uri"], "https://audit.example.com/v1/auth/oidc/corp/callback");
    fake.answers(&fake.token(&service, "in delible", |c| c["nonce"] = p["nonce"].clone().into()));
    let session = begun.finish(&service, &begun.query()).await.unwrap();
    let grant = bearer(&service, &session.jwt).await.unwrap();
    assert_eq!(role(&grant).1, Role::Auditor);
    assert!(grant.permit::<CanRead>().is_ok() && grant.permit::<CanWrite>().is_err());
    // What the provider was asked with: the code once, the verifier of the challenge, the client's name and secret encoded.
    let asked = fake.state.lock().unwrap().asked.iter().find(|r| r.starts_with("POST /token")).unwrap().clone();
    assert!(asked.contains(&format!("authorization: Basic {}", STANDARD.encode("in+delible:s%2Bcret%2F"))), "{asked}");
    let form: BTreeMap<_, _> = form_urlencoded::parse(asked.split_once("\r\n\r\n").unwrap().1.as_bytes()).into_owned().collect();
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes())), p["code_challenge"]);
    assert_eq!((&*form["code"], &*form["grant_type"], &form["redirect_uri"]), ("c1", "authorization_code", &p["redirect_uri"]));
    // On a node that the login was not begun on, and whose member is there already.
    let other = Service::open(Config { oidc: vec![fake.provider()], ..service.inner.config.clone() }, service.clock().clone(), Ids::seeded(2)).await.unwrap();
    let again = begun.finish(&other, &begun.query()).await.unwrap();
    assert_eq!(role(&again.grant), role(&grant));
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_do_not_belong_together_fail() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider(), OidcProvider { name: "other".into(), audiences: Vec::new(), ..fake.provider() }]).await;
    let begun = Begun::new(&service).await;
    let (nonce, query) = (begun.parameters["nonce"].clone(), begun.query());
    let good = |fake: &Fake| fake.answers(&fake.token(&service, "in delible", |c| c["nonce"] = nonce.clone().into()));
    let fails = async |kept: &str, query: &str| {
        service.login_succeeded(SOURCE, &format!("login {kept}")).await;
        service.clock().advance(10_000_000);
        let error = service.oidc_finish("corp", kept, query, SOURCE).await.unwrap_err();
        assert_eq!((error.kind(), error.public()), (Kind::Unauthenticated, "The login failed. Begin it again."), "{error}");
        error.internal_message().unwrap().to_owned()
    };
    good(&fake);
    // State: another login's, missing, twice, in another browser, of another provider, of another kind of token.
    let other = Begun::new(&service).await;
    assert!(fails(&other.kept, &query).await.contains("another login's"));
    assert!(fails(&begun.kept, "code=c1").await.contains("another login's"));
    assert!(fails(&begun.kept, &format!("{query}&state=x")).await.contains("twice"));
    assert!(fails("", &query).await.contains("no login"));
    assert!(fails(&begun.kept[..begun.kept.len() - 4], &query).await.contains("login"));
    let elsewhere = service.oidc_begin("other", BASE).await.unwrap();
    assert!(fails(&elsewhere.state, &query).await.contains("another login's"));
    let now = service.clock().now();
    let own = OwnClaims { id: TokenId([1; 16]), subject: "s".into(), project: ProjectId([1; 16]), issued_at: now, expires_at: now };
    assert!(fails(&service.sign_jwt(&own).await.unwrap(), &query).await.contains("something else"));
    assert_eq!(refused(&service, &begun.kept).await, Kind::Unauthenticated);
    // The provider's answer: an error, no code, another issuer.
    assert!(fails(&begun.kept, &format!("error=access_denied&state={}", begun.parameters["state"])).await.contains("access_denied"));
    assert!(fails(&begun.kept, &format!("{query}&error=x")).await.contains("without a code"));
    assert!(fails(&begun.kept, &format!("{query}&iss=https%3A%2F%2Fevil.example")).await.contains("another issuer's"));
    assert_eq!(fake.asked("/token"), 0);
    // The code, refused.
    fake.change(|s| s.token = (400, r#"{"error":"invalid_grant"}"#.into()));
    assert!(fails(&begun.kept, &query).await.contains("invalid_grant"));
    for (status, body) in [(200, "no json"), (302, "{}"), (500, "{}"), (200, r#"{"id_token":1,"id_token":2}"#)] {
        fake.change(|s| s.token = (status, body.into()));
        assert!(matches!(begun.finish(&service, &query).await.unwrap_err().kind(), Kind::Unavailable(_)), "{status}");
    }
    fake.change(|s| s.token = (200, "{}".into()));
    assert!(fails(&begun.kept, &query).await.contains("no ID token"));
    // The ID token: each lie by itself.
    type Lie<'a> = (&'a dyn Fn(&mut Value), &'a str);
    let lies: [Lie<'_>; 9] = [
        (&|c| c["nonce"] = "other".into(), "nonce"),
        (&|c| c["nonce"] = Value::Null, "nonce"),
        (&|c| c["aud"] = "other".into(), "somebody else"),
        (&|c| c["aud"] = json!(["in delible", "other"]), "azp"),
        (&|c| c["azp"] = "other".into(), "azp"),
        (&|c| c["iss"] = "https://evil.example".into(), "issuer"),
        (&|c| c["exp"] = 1.into(), "over"),
        (&|c| c["iat"] = 9_999_999_999_i64.into(), "not valid yet"),
        (&|c| c["sub"] = Value::Null, "sub"),
    ];
    for (lie, why) in lies {
        let token = fake.token(&service, "in delible", |c| {
            c["nonce"] = nonce.clone().into();
            lie(c);
        });
        fake.answers(&token);
        let said = fails(&begun.kept, &query).await;
        assert!(said.contains(why), "{said}");
    }
    good(&fake);
    assert!(begun.finish(&service, &query).await.is_ok());
    // Over after ten minutes, and the minute that clocks may differ.
    service.clock().advance(661_000_000);
    assert!(fails(&begun.kept, &query).await.contains("over"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_lies_about_itself_is_not_used() {
    let lies: [&dyn Fn(&mut Value); 6] = [
        &|d| d["issuer"] = "https://evil.example".into(),
        &|d| d["issuer"] = format!("{}/", d["issuer"].as_str().unwrap()).into(),
        &|d| d["jwks_uri"] = "http://evil.example/jwks".into(),
        &|d| d["token_endpoint"] = "http://10.0.0.1/token".into(),
        &|d| d["authorization_endpoint"] = Value::Null,
        &|d| *d = json!([]),
    ];
    for (i, lie) in lies.iter().enumerate() {
        let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::start().await);
        let service = open(&dir, vec![fake.provider()]).await;
        fake.change(|s| lie(&mut s.discovery));
        let error = service.oidc_begin("corp", BASE).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unavailable(_)), "{i}: {error}");
    }
    let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::start().await);
    let service = open(&dir, vec![fake.provider()]).await;
    for base in ["", "http://audit.example.com", "audit.example.com"] {
        assert!(service.oidc_begin("corp", base).await.unwrap_err().public().contains("public_url"), "{base}");
    }
    assert_eq!(service.oidc_begin("nobody", BASE).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_token_is_a_credential_for_its_audience() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    let good = fake.token(&service, AUDIENCE, |_| ());
    let grant = bearer(&service, &good).await.unwrap();
    assert_eq!((role(&grant).1, &*grant.project_name), (Role::Auditor, "default"));
    assert!(service.still_valid(&grant).await.unwrap());
    let with = |change: &dyn Fn(&mut Value)| fake.token(&service, AUDIENCE, change);
    let lies: [&dyn Fn(&mut Value); 6] = [
        &|c| c["aud"] = "in delible".into(),
        &|c| c["aud"] = "https://audit.example.com".into(),
        &|c| c["iss"] = "https://evil.example".into(),
        &|c| c["iss"] = "indelible".into(),
        &|c| c["exp"] = 1.into(),
        &|c| c["sub"] = "".into(),
    ];
    for (i, lie) in lies.iter().enumerate() {
        assert_eq!(refused(&service, &with(lie)).await, Kind::Unauthenticated, "{i}");
    }
    let claims = json!({ "iss": fake.issuer, "aud": AUDIENCE, "sub": "ann", "iat": service.clock().now().micros() / 1_000_000, "exp": 9_999_999_999_i64, "groups": ["admin"] });
    for kind in ["logout+jwt", "oidc-state+jwt", "secevent+jwt"] {
        assert_eq!(refused(&service, &sign(&fake.pair, "one", kind, &claims)).await, Kind::Unauthenticated);
    }
    // Somebody else's key, by our own key's name; our own key, by theirs.
    let other = Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
    assert_eq!(refused(&service, &sign(&other, "one", "JWT", &claims)).await, Kind::Unauthenticated);
    let own = service.signing_key().await.unwrap();
    assert_eq!(refused(&service, &sign(&own.pair, &own.id, "at+jwt", &claims)).await, Kind::Unauthenticated);
    // An algorithm that we take and the provider does not name.
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let point = json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
    let signed = [json!({ "alg": "ES256", "kid": "ec" }), claims.clone()].map(|p| URL_SAFE_NO_PAD.encode(p.to_string())).join(".");
    let es256 = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ec.sign(&random, signed.as_bytes()).unwrap()));
    fake.change(|s| s.keys["keys"].as_array_mut().unwrap().push(point));
    service.clock().advance(16 * 60 * 1_000_000);
    assert_eq!(refused(&service, &es256).await, Kind::Unauthenticated);
    fake.change(|s| s.discovery["id_token_signing_alg_values_supported"] = json!(["ES256", "EdDSA"]));
    service.clock().advance(16 * 60 * 1_000_000);
    assert_eq!(role(&bearer(&service, &es256).await.unwrap()), (role(&grant).0, Role::Admin));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_a_provider_are_found_and_looked_for_with_a_pace() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    bearer(&service, &fake.token(&service, AUDIENCE, |_| ())).await.unwrap();
    assert_eq!(fake.asked("/jwks"), 1);
    let next = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let now = service.clock().now().micros() / 1_000_000;
    let claims = json!({ "iss": fake.issuer, "aud": AUDIENCE, "sub": "ann", "exp": now + 300, "groups": ["audit"] });
    fake.change(|s| s.keys = json!({ "keys": [public("two", &next)] }));
    bearer(&service, &sign(&next, "two", "at+jwt", &claims)).await.unwrap();
    assert_eq!(fake.asked("/jwks"), 2);
    // The key that was taken away is gone.
    let unknown = ["one", "three"].map(|kid| sign(&fake.pair, kid, "at+jwt", &claims));
    let all = (0..50).map(|i| refused(&service, &unknown[i % 2]));
    assert!(futures_util::future::join_all(all).await.into_iter().all(|k| k == Kind::Unauthenticated));
    assert!(fake.asked("/jwks") <= 4, "{}", fake.asked("/jwks"));
    // While the provider is away, what was known goes on.
    fake.change(|s| s.discovery = json!("away"));
    service.clock().advance(20 * 60 * 1_000_000);
    let later = json!({ "iss": fake.issuer, "aud": AUDIENCE, "sub": "ann", "exp": now + 90_000, "groups": ["audit"] });
    bearer(&service, &sign(&next, "two", "at+jwt", &later)).await.unwrap();
    service.clock().advance(86_400 * 1_000_000);
    assert!(matches!(refused(&service, &sign(&next, "two", "at+jwt", &later)).await, Kind::Unavailable(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_what_their_claims_say() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    let groups = |groups: &[&str]| fake.token(&service, AUDIENCE, |c| c["groups"] = json!(groups));
    let auditor = bearer(&service, &groups(&["audit", "x"])).await.unwrap();
    let (ann, _) = role(&auditor);
    // More, less, and nothing: with the next token.
    assert_eq!(role(&bearer(&service, &groups(&["admin"])).await.unwrap()), (ann, Role::Admin));
    let admin = bearer(&service, &groups(&["admin"])).await.unwrap();
    assert_eq!(role(&bearer(&service, &groups(&["audit"])).await.unwrap()), (ann, Role::Auditor));
    assert!(!service.still_valid(&admin).await.unwrap());
    assert!(service.still_valid(&auditor).await.unwrap());
    assert_eq!(refused(&service, &groups(&[])).await, Kind::Forbidden);
    assert!(!service.still_valid(&auditor).await.unwrap());
    // Back again as the same person.
    let back = bearer(&service, &groups(&["audit"])).await.unwrap();
    assert_eq!(role(&back), (ann, Role::Auditor));
    // Who was suspended here stays out, whatever is claimed.
    let project = service.project("default").await.unwrap();
    let owner = service.operator(project).await.unwrap().permit::<CanManageMembers>().unwrap();
    service.member_update(&owner, ann, MemberChange { active: Some(false), ..MemberChange::default() }).await.unwrap();
    assert_eq!(refused(&service, &groups(&["audit"])).await, Kind::Forbidden);
    assert_eq!(refused(&service, &groups(&["admin"])).await, Kind::Forbidden);
    let begun = Begun::new(&service).await;
    fake.answers(&fake.token(&service, "in delible", |c| c["nonce"] = begun.parameters["nonce"].clone().into()));
    assert_eq!(begun.finish(&service, &begun.query()).await.unwrap_err().kind(), Kind::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_claims_change_nothing_and_give_no_more_than_newer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    let groups = |groups: &[&str]| {
        service.clock().advance(1_000_000);
        fake.token(&service, AUDIENCE, |c| c["groups"] = json!(groups))
    };
    let (first, admin, auditor) = (groups(&["audit"]), groups(&["admin"]), groups(&["audit"]));
    let (ann, _) = role(&bearer(&service, &first).await.unwrap());
    // The newest counts, though it changes nothing.
    bearer(&service, &auditor).await.unwrap();
    let late = bearer(&service, &admin).await.unwrap();
    assert_eq!((role(&late), late.scopes), ((ann, Role::Auditor), Role::Auditor.scopes()));
    // More than it claims itself a token does not give, whatever came after it.
    let newer = groups(&["admin"]);
    assert_eq!(role(&bearer(&service, &newer).await.unwrap()), (ann, Role::Admin));
    let less = bearer(&service, &auditor).await.unwrap();
    assert_eq!((role(&less), less.scopes), ((ann, Role::Auditor), Role::Auditor.scopes()));
    assert_eq!(role(&bearer(&service, &newer).await.unwrap()), (ann, Role::Admin));
    // What was changed here is not undone by a token of before.
    let project = service.project("default").await.unwrap();
    let owner = service.operator(project).await.unwrap().permit::<CanManageMembers>().unwrap();
    service.member_update(&owner, ann, MemberChange { role: Some(Role::Auditor), ..MemberChange::default() }).await.unwrap();
    assert_eq!(role(&bearer(&service, &newer).await.unwrap()), (ann, Role::Auditor));
    // Nor the end of a membership, which ends what was made of it.
    let begun = Begun::new(&service).await;
    service.clock().advance(1_000_000);
    fake.answers(&fake.token(&service, "in delible", |c| c["nonce"] = begun.parameters["nonce"].clone().into()));
    let session = begun.finish(&service, &begun.query()).await.unwrap();
    assert_eq!(refused(&service, &groups(&[])).await, Kind::Forbidden);
    for old in [&newer, &auditor] {
        assert_eq!(refused(&service, old).await, Kind::Forbidden);
    }
    assert_eq!(role(&bearer(&service, &groups(&["audit"])).await.unwrap()), (ann, Role::Auditor));
    assert_eq!(refused(&service, &session.jwt).await, Kind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_leave_no_project_without_an_owner() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    let project = service.project("default").await.unwrap();
    let owner: Membership = service.inner.store.glance().await.unwrap().member_list(project).await.unwrap().remove(0);
    service.identity_link(&service.on_the_machine(), project, owner.member, "corp", "ann").await.unwrap();
    let less = bearer(&service, &fake.token(&service, AUDIENCE, |_| ())).await.unwrap();
    assert_eq!((role(&less), less.scopes), ((owner.member, Role::Auditor), Role::Auditor.scopes()));
    assert!(less.admin().is_err());
    assert_eq!(refused(&service, &fake.token(&service, AUDIENCE, |c| c["groups"] = json!([]))).await, Kind::Forbidden);
    let begun = Begun::new(&service).await;
    fake.answers(&fake.token(&service, "in delible", |c| c["nonce"] = begun.parameters["nonce"].clone().into()));
    assert_eq!(begun.finish(&service, &begun.query()).await.unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(service.inner.store.glance().await.unwrap().membership(project, owner.member).await.unwrap(), Some(owner));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_makes_nobody_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let service = open(&dir, vec![fake.provider()]).await;
    // The owner's address, verified: the owner is somebody else all the same.
    let as_owner = fake.token(&service, AUDIENCE, |c| c["email"] = "owner@localhost".into());
    assert_eq!(refused(&service, &as_owner).await, Kind::Forbidden);
    // Not verified: another one is made up.
    let unverified = fake.token(&service, AUDIENCE, |c| c["email_verified"] = false.into());
    let grant = bearer(&service, &unverified).await.unwrap();
    let crate::caller::Who::Member { email, name, .. } = &grant.who else { panic!() };
    assert!(email.ends_with("@corp.invalid") && name == "Ann", "{email} {name}");
    // Two subjects are two people, and another issuer's subject is a third.
    let other = fake.token(&service, AUDIENCE, |c| c["sub"] = "bob".into());
    assert_ne!(role(&bearer(&service, &other).await.unwrap()).0, role(&grant).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_people_stay_out_until_they_are_joined_to_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let closed = OidcProvider { let_in_unknown: false, roles_claim: None, roles: BTreeMap::new(), ..fake.provider() };
    let service = open(&dir, vec![closed]).await;
    let token = fake.token(&service, AUDIENCE, |_| ());
    assert_eq!(refused(&service, &token).await, Kind::Forbidden);
    let project = service.project("default").await.unwrap();
    let mut tx = service.inner.store.glance().await.unwrap();
    let owner: Membership = tx.member_list(project).await.unwrap().remove(0);
    let admin = service.on_the_machine();
    let link = |subject: &'static str| service.identity_link(&admin, project, owner.member, "corp", subject);
    assert_eq!(link("").await.unwrap_err().kind(), Kind::Invalid);
    link("ann").await.unwrap();
    assert_eq!(link("ann").await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(role(&bearer(&service, &token).await.unwrap()), (owner.member, Role::Owner));
    let identity = Identity { issuer: fake.issuer.clone(), subject: "ann".into(), member: owner.member, claims_at: service.clock().now().micros() / 1_000_000 };
    assert_eq!(tx.identity_list(owner.member).await.unwrap(), [identity]);
    assert_eq!(service.identity_link(&admin, project, MemberId([9; 16]), "corp", "x").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(service.identity_link(&admin, project, owner.member, "nobody", "x").await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_comes_to_two_nodes_at_once_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let a = open(&dir, vec![fake.provider()]).await;
    let b = Service::open(a.inner.config.clone(), a.clock().clone(), Ids::seeded(2)).await.unwrap();
    for person in 0..10 {
        let token = fake.token(&a, AUDIENCE, |c| (c["sub"], c["email"]) = (format!("p{person}").into(), format!("p{person}@example.com").into()));
        let (one, two) = tokio::join!(bearer(&a, &token), bearer(&b, &token));
        assert_eq!(role(&one.unwrap()), role(&two.unwrap()));
    }
}
