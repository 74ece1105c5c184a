//! The published description of the API is the one that the server gives out.

use std::fs;

use crate::http::send;
use crate::root;
use crate::server::Server;

/// `INDELIBLE_UPDATE=1` writes the file anew (`make openapi`).
#[test]
fn openapi_document_is_current() {
    let server = Server::start();
    let answer = send(&server.address, "GET", "/openapi.json", &[], b"").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let document: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let text = format!("{}\n", serde_json::to_string_pretty(&document).expect("JSON"));
    let path = root().join("docs/openapi.json");
    if std::env::var_os("INDELIBLE_UPDATE").is_some() {
        fs::write(&path, &text).expect("docs/openapi.json");
    }
    assert!(fs::read_to_string(&path).is_ok_and(|t| t == text), "docs/openapi.json differs from what the server gives out: run `make openapi`, and look at the difference");
}
