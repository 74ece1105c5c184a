//! `indelible task`: the exports and imports that a running server was asked for.

use std::process::ExitCode;

use clap::Subcommand;
use indelible_model::TaskId;
use indelible_service::{AskedKind, TaskStatus};
use serde_json::Value;

use super::person;
use super::remote::{Remote, ServerFlags};
use crate::failure::Failure;
use crate::out;

/// The end of the help.
pub(crate) const EXAMPLES: &str = "\
These commands ask a running server; the key says which project. A key with the scope export sees exports, one with events:write imports.

Examples:
  export INDELIBLE_API_KEY=lp_sk_...
  indelible task list
  indelible task list --kind export --status failed --limit 200
  indelible task show aa_0198a0c17e5b9f3d2c
  indelible task cancel aa_0198a0c17e5b9f3d2c --server https://audit.example.com";

/// Tasks of one page.
const PAGE: usize = 100;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// One line a task, newest first
    List {
        #[command(flatten)]
        server: ServerFlags,
        /// Only exports, or only imports
        #[arg(long, value_name = "export|import", value_parser = parse_kind)]
        kind: Option<AskedKind>,
        /// Only those that are queued, running, done, failed or cancelled
        #[arg(long, value_name = "STATUS", value_parser = parse_status)]
        status: Option<TaskStatus>,
        /// How many at most
        #[arg(long, value_name = "N", default_value = "25", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// All that is known of a task
    Show {
        #[command(flatten)]
        server: ServerFlags,
        /// Its id
        #[arg(value_name = "ID", value_parser = parse_id)]
        id: TaskId,
    },
    /// Stop a task: an export then has no file, and what an import stored before stays
    Cancel {
        #[command(flatten)]
        server: ServerFlags,
        /// Its id
        #[arg(value_name = "ID", value_parser = parse_id)]
        id: TaskId,
    },
}

fn parse_kind(name: &str) -> Result<AskedKind, String> {
    AskedKind::parse(name).ok_or_else(|| "give export or import".to_owned())
}

fn parse_status(name: &str) -> Result<TaskStatus, String> {
    TaskStatus::parse(name).ok_or_else(|| format!("give one of {}", TaskStatus::ALL.map(TaskStatus::name).join(", ")))
}

fn parse_id(id: &str) -> Result<TaskId, String> {
    TaskId::parse(id).ok_or_else(|| "give aa_ and 18 hex digits, as `indelible task list` prints them".to_owned())
}

impl Task {
    /// Which server is asked.
    pub(crate) fn server(&self) -> &ServerFlags {
        match self {
            Self::List { server, .. } | Self::Show { server, .. } | Self::Cancel { server, .. } => server,
        }
    }
}

/// Lists, shows or cancels.
pub(crate) async fn run(task: &Task, remote: &Remote) -> Result<ExitCode, Failure> {
    match task {
        Task::List { kind, status, limit, .. } => list(remote, *kind, *status, *limit as usize).await?,
        Task::Show { id, .. } => {
            let answer = remote.get(&format!("/v1/tasks/{id}")).await?;
            for (name, value) in answer["data"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
                out::line(format_args!("{name:16} {}", plain(value)))?;
            }
        }
        Task::Cancel { id, .. } => {
            let answer = remote.post(&format!("/v1/tasks/{id}/cancel"), None).await?;
            let word = if answer["data"]["status"] == TaskStatus::Cancelled.name() { "cancelled" } else { "stopping" };
            out::line(format_args!("{word} {id}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(remote: &Remote, kind: Option<AskedKind>, status: Option<TaskStatus>, limit: usize) -> Result<(), Failure> {
    let (mut left, mut cursor) = (limit, String::new());
    loop {
        let mut path = format!("/v1/tasks?per_page={}{cursor}", left.min(PAGE));
        if let Some(kind) = kind {
            path.push_str(&format!("&kind={}", kind.name()));
        }
        if let Some(status) = status {
            path.push_str(&format!("&status={}", status.name()));
        }
        let page = remote.get(&path).await?;
        for task in page["data"].as_array().into_iter().flatten() {
            out::line(row(task))?;
            left = left.saturating_sub(1);
        }
        match page["meta"]["next_cursor"].as_str() {
            Some(next) if left > 0 => cursor = format!("&cursor={next}"),
            _ => return Ok(()),
        }
    }
}

/// A task in one line.
fn row(task: &Value) -> String {
    let text = |name: &str| task[name].as_str().unwrap_or("-");
    let progress = task["progress"].as_u64().unwrap_or(0);
    let mut row = format!("{}  {:6}  {:9}  {progress:3} %  {}  by {}", text("id"), text("kind"), text("status"), text("created_at"), person(&task["asked_by"]));
    for more in ["export_id", "error"] {
        if let Some(more) = task[more].as_str() {
            row.push_str(&format!("  {more}"));
        }
    }
    row
}

/// A value as a person reads it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_a_line() {
        let mut task = json!({"id": "aa_1", "kind": "export", "status": "running", "progress": 7, "created_at": "2026-02-10T14:32:15.123456Z", "asked_by": {"id": "key_1", "meta": {"name": "shop"}}});
        assert_eq!(row(&task), "aa_1  export  running      7 %  2026-02-10T14:32:15.123456Z  by shop");
        task["export_id"] = "exp_1".into();
        task["error"] = "It broke.".into();
        assert!(row(&task).ends_with("by shop  exp_1  It broke."), "{}", row(&task));
        assert_eq!((plain(&json!("x")), plain(&json!({"rows": 1}))), ("x".to_owned(), "{\"rows\":1}".to_owned()));
    }

    #[test]
    fn names_and_ids_are_checked_before_anything_is_asked() {
        assert!(parse_kind("webhook").is_err() && parse_kind("import").is_ok());
        assert!(parse_status("DONE").unwrap_err().contains("queued"));
        assert!(parse_id("exp_1").is_err() && parse_id("aa_0198a0c17e5b9f3d2c").is_ok());
    }
}
