//! The shapes of Voucherify's answers about exports, with our additions after its own members.
//!
//! Promises: times are in UTC with milliseconds; its own members are always there. Never: a link to a file that is not there.

use indelible_model::Timestamp;
use indelible_service::ExportInfo;
use serde::Serialize;
use serde_json::Value;

use super::translate;

/// An export.
#[derive(Serialize)]
pub(super) struct Export<'a> {
    id: String,
    object: &'static str,
    created_at: String,
    status: &'static str,
    channel: &'static str,
    exported_object: &'a str,
    parameters: &'a Value,
    result: Option<Links>,
    user_id: Option<&'a str>,
    state: &'static str,
    progress: u64,
    error: Option<&'a str>,
    rows: Option<u64>,
    size: Option<u64>,
    sha256: Option<&'a str>,
    expires_at: Option<String>,
    task_id: String,
}

/// Ways to the file that need no credential.
#[derive(Serialize)]
pub(super) struct Links {
    pub(super) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) download_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifest_url: Option<String>,
}

/// A page of exports.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    object: &'static str,
    data_ref: &'static str,
    exports: Vec<Export<'a>>,
    total: u64,
}

impl<'a> Export<'a> {
    pub(super) fn new(info: &'a ExportInfo, result: Option<Links>) -> Self {
        Self {
            id: info.id.to_string(),
            object: "export",
            created_at: millis(info.created_at),
            status: translate::word(info.state),
            channel: if info.user_id.is_some() { "WEBSITE" } else { "API" },
            exported_object: &info.object,
            parameters: &info.parameters,
            result,
            user_id: info.user_id.as_deref(),
            state: info.state.name(),
            progress: info.progress,
            error: info.error.as_deref(),
            rows: info.file.as_ref().map(|f| f.rows),
            size: info.file.as_ref().map(|f| f.bytes),
            sha256: info.file.as_ref().map(|f| f.sha256.as_str()),
            expires_at: info.expires_at.map(millis),
            task_id: info.task.to_string(),
        }
    }
}

impl<'a> Page<'a> {
    pub(super) fn new(exports: Vec<Export<'a>>, total: u64) -> Self {
        Self { object: "list", data_ref: "exports", exports, total }
    }
}

/// A time with three fraction digits.
pub(super) fn millis(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_to_milliseconds() {
        assert_eq!(millis(Timestamp::clamped(1_999_999)), "1970-01-01T00:00:01.999Z");
        assert_eq!(millis(Timestamp::clamped(0)), "1970-01-01T00:00:00.000Z");
    }
}
