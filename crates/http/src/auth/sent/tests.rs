use axum::http::HeaderValue;

use super::*;

/// What is read, one credential after the other, the session first and marked.
fn read(headers: &HeaderMap) -> Result<Vec<String>, Note> {
    let text = |credential: Credential<'_>| match credential {
        Credential::Secret(secret) => secret.to_owned(),
        Credential::Pair { application, token } => format!("{application}:{token}"),
    };
    let sent = Sent::of(headers).map_err(|f| f.note)?;
    let session = sent.session.map(|s| format!("session {}", text(s)));
    Ok(session.into_iter().chain(sent.others.into_iter().map(text)).collect())
}

fn of(pairs: &[(&'static str, &str)]) -> Result<Vec<String>, Note> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    read(&headers)
}

#[test]
fn each_way_is_read() {
    for (pairs, want) in [
        (&[("authorization", "Bearer lp_sk_1")][..], &["lp_sk_1"][..]),
        (&[("authorization", "bearer  lp_sk_1 ")], &["lp_sk_1"]),
        (&[("x-api-key", "ak_2")], &["ak_2"]),
        (&[("x-api-key", "ak_2"), ("authorization", "Bearer a.b.c")], &["a.b.c", "ak_2"]),
        (&[("x-app-id", "id"), ("x-app-token", "token")], &["id:token"]),
        (&[("x-management-id", "id"), ("x-management-token", "token")], &["id:token"]),
        (&[("x-eposn-merchant-token", "a.b.c")], &["session a.b.c"]),
        (&[("x-eposn-merchant-token", "a.b.c"), ("authorization", "Bearer d.e.f")], &["session a.b.c", "d.e.f"]),
        (&[("x-eposn-merchant-token", ""), ("x-api-key", " "), ("authorization", "Bearer lp_sk_1")], &["lp_sk_1"]),
    ] {
        assert_eq!(of(pairs).ok().unwrap_or_default(), want, "{pairs:?}");
    }
}

#[test]
fn none_is_told_from_a_bad_one() {
    assert_eq!(of(&[]), Err(Note::NoCredential));
    assert_eq!(of(&[("authorization", ""), ("x-api-key", "")]), Err(Note::NoCredential));
    for wrong in ["Basic abc", "Bearer", "lp_sk_1", "Bearer\tlp_sk_1", "Bearer lp_sk_\u{e9}"] {
        assert_eq!(of(&[("authorization", wrong)]), Err(Note::None), "{wrong}");
    }
}

#[test]
fn a_bad_one_is_not_covered_by_a_good_one() {
    let good = ("authorization", "Bearer lp_sk_1");
    let long = "x".repeat(MAX + 1);
    let huge = "x".repeat(1 << 20);
    for bad in [
        &[("authorization", "Bearer lp_sk_2")][..],
        &[("authorization", "")],
        &[("x-api-key", "ak_1"), ("x-api-key", "ak_1")],
        &[("x-api-key", "\u{1f511}")],
        &[("x-api-key", long.as_str())],
        &[("x-api-key", huge.as_str())],
        &[("x-app-id", "id")],
        &[("x-app-token", "token")],
        &[("x-app-id", "id"), ("x-app-token", "")],
        &[("x-app-id", "id"), ("x-management-token", "token")],
        &[("x-eposn-merchant-token", "\u{ff}")],
    ] {
        let pairs: Vec<(&'static str, &str)> = std::iter::once(good).chain(bad.iter().copied()).collect();
        assert_eq!(of(&pairs), Err(Note::None), "{:?}", pairs.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

#[test]
fn loyaltydogs_keys_are_known() {
    let is_one = |name: &'static str, value: &'static str| is_loyaltydog_key(&[(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect());
    assert!(is_one("authorization", "Bearer ld_live_x") && is_one("x-api-key", "ld_test_x"));
    assert!(!is_one("authorization", "Bearer lp_sk_ld_live_") && !is_one("authorization", "ld_live_x") && !is_one("x-app-token", "ld_live_x"));
}
