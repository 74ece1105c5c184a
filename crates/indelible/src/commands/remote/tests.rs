use std::fs;

use serde_json::json;

use super::*;

fn flags(server: &str) -> ServerFlags {
    ServerFlags { server: Some(server.to_owned()), api_key_file: None }
}

#[test]
fn a_server_is_a_url_without_secrets() {
    for (given, want) in [("http://127.0.0.1:8700/", "http://127.0.0.1:8700"), ("https://audit.example.com/indelible", "https://audit.example.com/indelible")] {
        assert_eq!(flags(given).url().unwrap(), want);
    }
    for bad in ["127.0.0.1:8700", "ftp://x", "http://u:p@x", "http://u@x", "https://x/?a=b", ""] {
        let failure = flags(bad).url().unwrap_err();
        assert_eq!(failure.code(), 2, "{bad}");
        assert!(failure.to_string().contains("INDELIBLE_SERVER") && !failure.to_string().contains("u:p"), "{failure}");
    }
}

#[test]
fn a_key_is_read_from_a_file_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("key");
    let key = |text: &str| {
        fs::write(&place, text).unwrap();
        ServerFlags { server: None, api_key_file: Some(place.clone()) }.key()
    };
    let header = key("lp_sk_abc\n").unwrap();
    assert_eq!((header.to_str().unwrap(), header.is_sensitive()), ("Bearer lp_sk_abc", true));
    for bad in ["", " \n", "two words", "ke\u{fc}"] {
        let failure = key(bad).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(bad.trim().is_empty() || !failure.to_string().contains(bad.trim()), "{failure}");
    }
    fs::remove_file(&place).unwrap();
    let missing = ServerFlags { server: None, api_key_file: Some(place) }.key().unwrap_err().to_string();
    assert!(missing.contains("cannot be read"), "{missing}");
}

#[test]
fn what_a_server_says_is_understood_in_every_shape() {
    for (body, want) in [
        (json!({"error": {"type": "x", "message": "No.", "errors": {"kind": ["must be one of a."]}}}), "No.\n       kind must be one of a."),
        (json!({"code": 400, "message": "Invalid payload", "details": "Property .x"}), "Invalid payload\n       Property .x"),
        (json!({"detail": "Not Found"}), "Not Found"),
    ] {
        assert_eq!(message(&body, b""), want);
    }
    assert_eq!(message(&Value::Null, b" <html>\n"), "<html>");
    assert_eq!(message(&Value::Null, "\u{e9}".repeat(300).as_bytes()).chars().count(), SHOWN);
}

#[test]
fn what_is_only_so_for_now_is_tried_again() {
    for status in [429, 502, 503, 504] {
        assert!(matches!(said(status, "later"), Refused::Away(_)), "{status}");
    }
    for status in [302, 400, 401, 403, 404, 409, 500, 507] {
        assert!(matches!(said(status, "no"), Refused::Said(s, _) if s == status), "{status}");
        assert_eq!(Failure::from(said(status, "no")).code(), 1);
    }
    let all: Vec<u64> = (0..10).map(|n| u64::try_from(pause(n).as_millis()).unwrap()).collect();
    assert_eq!(all, [250, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
}
