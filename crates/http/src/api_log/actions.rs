//! What a request is called in the API log: the action of its event, and its endpoint.
//!
//! Promises: reads are named for what was read. What changes something is `api.request`, for the change itself is an event of its own, written with the change.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// Requests that have no name of their own.
const REQUEST: &str = "api.request";

/// Operations that read, with their actions: as they are, and with a filter.
const ACTIONS: &[(&str, &str, &str)] = &[
    ("listEvents", "events.listed", "events.searched"),
    ("listAuditLog", "events.listed", "events.searched"),
    ("getEvent", "event.read", "event.read"),
    ("exportEvents", "events.exported", "events.exported"),
    ("exportAuditLog", "events.exported", "events.exported"),
    ("exportAuditLogPdf", "events.exported", "events.exported"),
    ("listChangeLogs", "events.searched", "events.searched"),
    ("listMemberChangeLogs", "events.searched", "events.searched"),
    ("showAssistantHistory", "events.listed", "events.searched"),
    ("showTimeline", "events.listed", "events.searched"),
    ("verify", "log.verified", "log.verified"),
    ("listLogs", "logs.listed", "logs.searched"),
    ("listExports", "exports.listed", "exports.searched"),
    ("getExport", "export.read", "export.read"),
    ("listAsyncActions", "tasks.listed", "tasks.searched"),
    ("getAsyncAction", "task.read", "task.read"),
    ("getLog", "log.read", "log.read"),
    ("listApiKeys", "keys.listed", "keys.listed"),
    ("listMembers", "members.listed", "members.listed"),
    ("getMember", "member.read", "member.read"),
    ("listProjects", "projects.listed", "projects.listed"),
    ("getProject", "project.read", "project.read"),
    ("getRetention", "retention.read", "retention.read"),
    ("listHolds", "holds.listed", "holds.listed"),
    ("getHold", "hold.read", "hold.read"),
    ("listImports", "imports.listed", "imports.listed"),
    ("getImport", "import.read", "import.read"),
    ("getImportFile", "import.downloaded", "import.downloaded"),
    ("getImportReport", "import.downloaded", "import.downloaded"),
    ("listTasks", "tasks.listed", "tasks.listed"),
    ("getTask", "task.read", "task.read"),
];

/// Operations that store events.
const INGEST: &[&str] = &["createEvent", "createEvents", "createEventsInBulk", "createImport"];

/// Parameters that page, order or shape an answer; all others ask for some events and not for others.
const PAGING: &[&str] = &["per_page", "cursor", "page", "page_size", "limit", "offset", "skip", "order", "sort", "log", "format", "fields", "include_total"];

/// What a route is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    plain: &'static str,
    filtered: &'static str,
    /// Method and route in one word.
    pub(super) endpoint: Arc<str>,
    /// It stores events.
    pub(super) ingest: bool,
}

impl Named {
    fn new(operation: &str, method: &Method, route: &str) -> Self {
        let (plain, filtered) = ACTIONS.iter().find(|(id, ..)| *id == operation).map_or((REQUEST, REQUEST), |(_, plain, filtered)| (*plain, *filtered));
        Self { plain, filtered, endpoint: endpoint(method, route).into(), ingest: INGEST.contains(&operation) }
    }
    /// It reads and changes nothing, whatever its method.
    pub(super) fn reads(&self) -> bool {
        self.plain != REQUEST
    }
    /// The action of a request with this query.
    pub(super) fn action(&self, query: Option<&str>) -> &'static str {
        let filters = |pair: &str| !pair.is_empty() && !PAGING.contains(&pair.split('=').next().unwrap_or_default());
        if query.is_some_and(|q| q.split('&').any(filters)) { self.filtered } else { self.plain }
    }
}

/// All routes of the document, by method and path.
pub(super) fn routes(document: &OpenApi) -> HashMap<String, Named> {
    let mut routes = HashMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            routes.insert(format!("{method} {path}"), Named::new(operation, &method, path));
        }
    }
    routes
}

/// What a request is called. `HEAD` is the `GET` whose head it asks for, and LoyaltyDog's paths are the same below `/api`.
pub(super) fn of(routes: &HashMap<String, Named>, method: &Method, route: &str) -> Named {
    let path = route.strip_prefix("/api").filter(|path| path.starts_with("/v2/")).unwrap_or(route);
    let like = if method == Method::HEAD { &Method::GET } else { method };
    match routes.get(&format!("{like} {path}")) {
        Some(named) if like == method => named.clone(),
        Some(named) => Named { endpoint: endpoint(method, path).into(), ..named.clone() },
        None => Named::new("", method, route),
    }
}

/// The methods of a path with the ids of their operations.
fn operations(item: &PathItem) -> Vec<(Method, &str)> {
    let all = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::PUT, &item.put), (Method::PATCH, &item.patch), (Method::DELETE, &item.delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?.operation_id.as_deref().unwrap_or_default()))).collect()
}

/// `POST_v1_vouchers_import_csv` for `POST /v1/vouchers/importCSV`.
fn endpoint(method: &Method, route: &str) -> String {
    let mut out = format!("{}_", super::verb(method));
    let mut lower = false;
    for c in route.trim_start_matches('/').chars() {
        match c {
            '{' | '}' | '*' => {}
            c if c.is_ascii_alphanumeric() => {
                if c.is_ascii_uppercase() && lower {
                    out.push('_');
                }
                lower = !c.is_ascii_uppercase();
                out.push(c.to_ascii_lowercase());
            }
            _ => {
                lower = false;
                out.push('_');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (method, route, want) in [
            (Method::GET, "/v1/events", "GET_v1_events"),
            (Method::POST, "/v1/vouchers/importCSV", "POST_v1_vouchers_import_csv"),
            (Method::GET, "/v1/async-actions/{id}", "GET_v1_async_actions_id"),
            (Method::GET, "/v1/organizations/{organizationId}/audit-log", "GET_v1_organizations_organization_id_audit_log"),
            (Method::GET, "unmatched", "GET_unmatched"),
        ] {
            assert_eq!(endpoint(&method, route), want);
        }
    }

    #[test]
    fn filters_make_a_search() {
        let list = Named::new("listEvents", &Method::GET, "/v1/events");
        for (query, want) in
            [(None, "events.listed"), (Some(""), "events.listed"), (Some("per_page=5&cursor=x&log=activity"), "events.listed"), (Some("per_page=5&search=x"), "events.searched")]
        {
            assert_eq!(list.action(query), want, "{query:?}");
        }
        assert_eq!(of(&HashMap::new(), &Method::PUT, "/x").action(Some("a=b")), "api.request");
    }

    #[test]
    fn other_ways_to_the_same_route() {
        let routes = routes(&crate::documented().into_openapi());
        for (method, route, action, endpoint) in [
            (Method::GET, "/v1/events", "events.listed", "GET_v1_events"),
            (Method::HEAD, "/v1/events", "events.listed", "HEAD_v1_events"),
            (Method::HEAD, "/v1/events/export", "events.exported", "HEAD_v1_events_export"),
            (Method::GET, "/api/v2/token", "api.request", "GET_v2_token"),
            (Method::GET, "unmatched", "api.request", "GET_unmatched"),
            (Method::DELETE, "/v1/events", "api.request", "DELETE_v1_events"),
        ] {
            let named = of(&routes, &method, route);
            assert_eq!((named.action(None), &*named.endpoint), (action, endpoint), "{method} {route}");
        }
    }

    #[test]
    fn what_reads_by_post_is_a_read() {
        let routes = routes(&crate::documented().into_openapi());
        for (method, route, reads) in [
            (Method::POST, "/v1/organizations/{organization_id}/dashboard/change-logs", true),
            (Method::POST, "/v1/organizations/{organization_id}/users/{user_id}/change-logs", true),
            (Method::POST, "/v1/events", false),
            (Method::POST, "/v1/api-keys", false),
        ] {
            assert!(routes.contains_key(&format!("{method} {route}")), "{route}");
            assert_eq!(of(&routes, &method, route).reads(), reads, "{route}");
        }
    }

    #[test]
    fn every_name_is_of_an_operation() {
        let document = crate::documented().into_openapi();
        let known: Vec<String> = document.paths.paths.values().flat_map(operations).map(|(_, id)| id.to_owned()).collect();
        let missing: Vec<_> = ACTIONS.iter().map(|(id, ..)| id).chain(INGEST).filter(|id| !known.iter().any(|k| k == *id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let once: std::collections::BTreeSet<_> = ACTIONS.iter().map(|(id, ..)| id).collect();
        assert_eq!(once.len(), ACTIONS.len(), "an operation stands twice");
        assert!(routes(&document).values().all(|r| r.endpoint.contains('_')));
    }
}
