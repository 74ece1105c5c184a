use serde_json::{Value, json};
use utoipa::IntoParams;

use super::*;

fn document() -> Value {
    serde_json::from_str(&crate::openapi_json()).expect("JSON")
}

#[test]
fn every_path_is_there_with_its_failures() {
    let document = document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            found.push(format!("{} {path}", method.to_uppercase()));
            let open = matches!(path.as_str(), "/healthz" | "/readyz");
            assert_eq!(operation["security"].is_array(), !open, "{method} {path}");
            assert!(open || operation["responses"]["401"]["content"]["application/json"]["schema"]["$ref"].is_string(), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            "DELETE /v1/api-keys/{id}",
            "GET /healthz",
            "GET /readyz",
            "GET /v1/api-keys",
            "GET /v1/events",
            "GET /v1/events/export",
            "GET /v1/events/{id}",
            "GET /v1/organizations/{organization_id}/audit-log",
            "GET /v1/organizations/{organization_id}/audit-log/export",
            "GET /v1/verify",
            "PATCH /v1/api-keys/{id}",
            "POST /v1/api-keys",
            "POST /v1/events",
            "POST /v1/events/batch",
            "POST /v1/events/bulk",
        ]
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        if let Some(target) = value["$ref"].as_str() {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
        value.as_array().into_iter().flatten().for_each(|v| walk(v, document));
        value.as_object().into_iter().flatten().for_each(|(_, v)| walk(v, document));
    }
    let document = document();
    walk(&document, &document);
}

#[test]
fn the_page_shows_all_and_escapes() {
    let html = page::render(&document());
    for part in ["createEventsInBulk", "listAuditLog", "id=\"NewEvent\"", "keys:manage"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"));
    let hostile = page::render(&json!({"info": {"title": "<b>\"&'"}}));
    assert!(hostile.contains("<h1>&lt;b&gt;&quot;&amp;&#39;</h1>"), "{hostile}");
}

#[test]
fn parameters_are_those_that_are_read() {
    fn names<T: IntoParams>() -> Vec<String> {
        T::into_params(|| None).into_iter().map(|p| p.name).collect()
    }
    let same = |documented: [Vec<String>; 2], read: &[&str]| {
        let mut documented = documented.concat();
        let mut read: Vec<String> = read.iter().map(|n| (*n).to_owned()).collect();
        documented.sort();
        read.sort();
        assert_eq!(documented, read);
    };
    let logproof = crate::dialects::logproof::parameters();
    same([names::<schemas::EventFilters>(), names::<schemas::ListParams>()], logproof[0]);
    same([names::<schemas::EventFilters>(), names::<schemas::ExportParams>()], logproof[1]);
    same([names::<schemas::VerifyParams>(), Vec::new()], logproof[2]);
    let aitronos = crate::dialects::aitronos::parameters();
    same([names::<schemas::AuditFilters>(), names::<schemas::AuditListParams>()], aitronos[0]);
    same([names::<schemas::AuditFilters>(), names::<schemas::AuditExportParams>()], aitronos[1]);
}
