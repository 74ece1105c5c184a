use super::*;

#[test]
fn words_become_scopes() {
    for (text, allowed, shown) in [
        ("api", Scopes::all(), "api"),
        ("exports", Scopes::of(&[Scope::Export]), "exports"),
        (" events  exports events", Scopes::of(&[Scope::EventsRead, Scope::EventsWrite, Scope::Export]), "events exports"),
        ("async-actions", Scopes::of(&[Scope::Export]), "async-actions"),
    ] {
        assert_eq!(scopes(text).ok(), Some((allowed, shown.to_owned())), "{text}");
    }
}

#[test]
fn unknown_words_are_told() {
    for (text, message) in
        [("api vouchers campaigns", "Invalid scope: vouchers,campaigns"), ("", "Invalid scope: "), ("API", "Invalid scope: API"), ("api,exports", "Invalid scope: api,exports")]
    {
        let failed = scopes(text).expect_err(text);
        assert_eq!((failed.error.public(), failed.note), (message, Note::Named("invalid_scope")));
    }
}

#[test]
fn the_shape() {
    let at = |text| Timestamp::parse(text).expect("a time");
    let token = Token::new("a.b.c", "api", KeyId([0xab; 16]), at("2025-02-07T16:18:06.9Z"), at("2025-02-07T16:03:06.1Z"), None);
    assert_eq!(
        serde_json::to_string(&token).ok().as_deref(),
        Some(r#"{"access_token":"a.b.c","client_id":"abababab-abab-abab-abab-abababababab","expires_at":1738945086,"expires_in":900,"scope":"api","token_type":"Bearer"}"#)
    );
}
