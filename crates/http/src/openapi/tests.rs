use serde_json::{Value, json};
use utoipa::IntoParams;

use super::*;

fn document() -> Value {
    serde_json::from_str(&crate::openapi_json()).expect("JSON")
}

/// What needs no credential, because it makes one, is one in itself or says nothing.
const OPEN: &[&str] = &[
    "GET /.well-known/jwks.json",
    "GET /files/{export}/{name}",
    "GET /healthz",
    "GET /readyz",
    "GET /v1/auth/oidc",
    "GET /v1/auth/oidc/{name}/callback",
    "GET /v1/auth/oidc/{name}/start",
    "POST /v1/auth/login",
    "POST /v2/token",
];

#[test]
fn every_path_is_there_with_its_failures() {
    let document = document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let name = format!("{} {path}", method.to_uppercase());
            let open = OPEN.contains(&name.as_str());
            found.push(name);
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
            "DELETE /v1/exports/{id}",
            "DELETE /v1/members/{id}",
            "DELETE /v1/schedules/{id}",
            "GET /.well-known/jwks.json",
            "GET /files/{export}/{name}",
            "GET /healthz",
            "GET /readyz",
            "GET /v1/api-keys",
            "GET /v1/assistants/{assistant_id}/history",
            "GET /v1/async-actions",
            "GET /v1/async-actions/{id}",
            "GET /v1/auth/me",
            "GET /v1/auth/oidc",
            "GET /v1/auth/oidc/{name}/callback",
            "GET /v1/auth/oidc/{name}/start",
            "GET /v1/events",
            "GET /v1/events/export",
            "GET /v1/events/{id}",
            "GET /v1/exports",
            "GET /v1/exports/{id}",
            "GET /v1/exports/{id}/rows",
            "GET /v1/holds",
            "GET /v1/holds/{id}",
            "GET /v1/imports",
            "GET /v1/imports/{id}",
            "GET /v1/imports/{id}/file",
            "GET /v1/imports/{id}/report",
            "GET /v1/logs",
            "GET /v1/logs/{id}",
            "GET /v1/members",
            "GET /v1/members/{id}",
            "GET /v1/organizations/{organization_id}/audit-log",
            "GET /v1/organizations/{organization_id}/audit-log/export",
            "GET /v1/organizations/{organization_id}/audit-log/export/pdf",
            "GET /v1/project",
            "GET /v1/projects",
            "GET /v1/retention",
            "GET /v1/schedules",
            "GET /v1/schedules/{id}",
            "GET /v1/tasks",
            "GET /v1/tasks/{id}",
            "GET /v1/verify",
            "GET /v1/widget/timeline",
            "GET /v2/giftcards/audit-logs",
            "GET /v2/giftcards/audit-logs/export/{task_id}",
            "GET /v2/token",
            "PATCH /v1/api-keys/{id}",
            "PATCH /v1/members/{id}",
            "PATCH /v1/projects/{id}",
            "PATCH /v1/schedules/{id}",
            "POST /v1/api-keys",
            "POST /v1/auth/login",
            "POST /v1/auth/logout",
            "POST /v1/events",
            "POST /v1/events/batch",
            "POST /v1/events/bulk",
            "POST /v1/exports",
            "POST /v1/holds",
            "POST /v1/holds/{id}/release",
            "POST /v1/imports",
            "POST /v1/members",
            "POST /v1/members/{id}/logins",
            "POST /v1/oauth/introspect",
            "POST /v1/oauth/token",
            "POST /v1/oauth/token/revoke",
            "POST /v1/organizations/{organization_id}/dashboard/change-logs",
            "POST /v1/organizations/{organization_id}/users/{user_id}/change-logs",
            "POST /v1/projects",
            "POST /v1/schedules",
            "POST /v1/tasks/{id}/cancel",
            "POST /v2/giftcards/audit-logs/export",
            "POST /v2/giftcards/merchants/session",
            "POST /v2/token",
            "PUT /v1/retention/{log}",
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
    same([names::<schemas::TimelineParams>(), Vec::new()], logproof[3]);
    same([names::<schemas::LogParams>(), Vec::new()], crate::native::logs::LIST);
    same([names::<schemas::TaskListParams>(), Vec::new()], crate::native::tasks::LIST);
    let voucherify = crate::dialects::voucherify::parameters();
    same([names::<schemas::ExportsParams>(), Vec::new()], voucherify[0]);
    same([names::<schemas::AsyncActionsParams>(), Vec::new()], voucherify[1]);
    let aitronos = crate::dialects::aitronos::parameters();
    same([names::<schemas::AuditFilters>(), names::<schemas::AuditListParams>()], aitronos[0]);
    same([names::<schemas::AuditFilters>(), names::<schemas::AuditExportParams>()], aitronos[1]);
    same([names::<schemas::AuditFilters>(), names::<schemas::AuditReportParams>()], aitronos[2]);
    same([names::<schemas::HistoryParams>(), Vec::new()], aitronos[3]);
}
