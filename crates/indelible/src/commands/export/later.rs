//! `indelible export --async`: a running server makes the export as a task; this asks for it, waits for it and fetches it.
//!
//! Promises: says no to what a task cannot do, instead of exporting something else; what was asked for goes on when this ends early, and can be fetched later.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indelible_model::{ExportId, LogKind, TaskId, Timestamp};
use indelible_service::ExportState;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::fetch::fetch;
use super::{Export, Format};
use crate::commands::remote::Remote;
use crate::failure::Failure;
use crate::out;

const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(2);
/// How often something is said where nobody sees a bar.
const NOW_AND_THEN: Duration = Duration::from_secs(10);

/// An export as the server shows it.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) id: ExportId,
    task: TaskId,
    state: ExportState,
    progress: u64,
    error: Option<String>,
    rows: u64,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) link: String,
}

impl View {
    fn read(export: &Value) -> Result<Self, Failure> {
        let foreign =
            || Failure::new("The server's answer is not an export as Indelible shows it.").then("Check the URL: it must be an Indelible server, of this version or a newer one.");
        let text = |name: &str| export[name].as_str();
        let number = |name: &str| export[name].as_u64();
        let state = text("state").and_then(ExportState::parse).ok_or_else(foreign)?;
        let view = Self {
            id: text("id").and_then(ExportId::parse).ok_or_else(foreign)?,
            task: text("task_id").and_then(TaskId::parse).ok_or_else(foreign)?,
            state,
            progress: number("progress").unwrap_or(0).min(100),
            error: text("error").map(str::to_owned),
            rows: number("rows").unwrap_or(0),
            size: number("size").unwrap_or(0),
            sha256: text("sha256").unwrap_or_default().to_owned(),
            link: export["result"]["download_url"].as_str().unwrap_or_default().to_owned(),
        };
        if state == ExportState::Finished && (view.sha256.is_empty() || view.link.is_empty()) {
            return Err(foreign());
        }
        Ok(view)
    }
    /// How it stands now.
    pub(super) async fn get(remote: &Remote, id: ExportId) -> Result<Self, Failure> {
        Self::read(&remote.get(&format!("/v1/exports/{id}")).await?)
    }
    /// True once there is a file; fails if there will be none.
    pub(super) fn is_finished(&self) -> Result<bool, Failure> {
        let why = self.error.as_deref().unwrap_or("no reason is known");
        match self.state {
            ExportState::Queued | ExportState::Running => Ok(false),
            ExportState::Finished => Ok(true),
            ExportState::Failed => {
                Err(Failure::new(format!("The export failed: {why}"))
                    .then(format!("`indelible task show {}` has the details; ask for it again when the reason is gone.", self.task)))
            }
            ExportState::Cancelled => Err(Failure::new("The export was cancelled.").then("Ask for it again without --export.")),
            ExportState::Expired => Err(Failure::new("The export's file is gone: its time was over.").then("Ask for it again without --export.")),
        }
    }
}

impl Export {
    /// Refuses what only the stream can do, and what makes no sense together.
    pub(super) fn check_remote(&self) -> Result<(), Failure> {
        if self.search.is_some() {
            return Err(
                Failure::usage("A task does not search.").then("Leave out --async to stream with --search, or filter by --action, --actor-id, --target-type or --target-id.")
            );
        }
        if !self.fields.is_empty() && self.format != Format::Csv {
            return Err(Failure::usage("--fields is for CSV only.").then("Leave it out: the other formats have the whole events. Or add --format csv."));
        }
        match (&self.output, self.wait) {
            (None, true) => Err(Failure::usage("--wait needs a place for the file.").then("Name it with --output; - is standard output.")),
            (Some(_), false) => Err(Failure::usage("Without --wait, nothing is fetched to --output.").then("Add --wait, or leave out --output.")),
            _ => Ok(()),
        }
    }
    /// What the server is asked for.
    pub(super) fn request(&self) -> Result<Value, Failure> {
        let compression = match (self.zstd, self.gzip) {
            (true, _) => "zstd",
            (_, true) => "gzip",
            _ => "none",
        };
        let format = match self.format {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Parquet => "parquet",
        };
        let mut parameters = Map::new();
        parameters.insert("format".to_owned(), format.into());
        parameters.insert("compression".to_owned(), compression.into());
        if self.format == Format::Csv {
            parameters.insert("csv_safe".to_owned(), self.csv_safe.into());
        }
        if !self.fields.is_empty() {
            parameters.insert("fields".to_owned(), self.fields.clone().into());
        }
        let filters = self.filters()?;
        if !filters.is_empty() {
            parameters.insert("filters".to_owned(), filters.into());
        }
        let object = match self.log {
            LogKind::Events => "event",
            LogKind::Activity => "api_log",
        };
        Ok(json!({ "exported_object": object, "parameters": parameters }))
    }
    fn filters(&self) -> Result<Map<String, Value>, Failure> {
        let mut filters = Map::new();
        let mut time = Map::new();
        // What the server is asked for excludes its ends, and what the flags say does not.
        if let Some(from) = self.from {
            time.insert("$after".to_owned(), json!([Timestamp::clamped(from.micros().saturating_sub(1)).to_string()]));
        }
        if let Some(to) = self.to {
            time.insert("$before".to_owned(), json!([Timestamp::clamped(to.micros().saturating_add(1)).to_string()]));
        }
        if !time.is_empty() {
            filters.insert("created_at".to_owned(), json!({ "conditions": time }));
        }
        let one = |operator: &str, value: &str| json!({ "conditions": { operator: [value] } });
        if let Some(action) = &self.action {
            let (operator, value) = action_test(action)?;
            filters.insert("action".to_owned(), one(operator, value));
        }
        for (name, value) in [("actor_id", &self.actor_id), ("target_type", &self.target_type), ("target_id", &self.target_id)] {
            if let Some(value) = value {
                filters.insert(name.to_owned(), one("$is", value));
            }
        }
        if self.log == LogKind::Activity && filters.keys().any(|name| name != "created_at") {
            return Err(Failure::usage("A task filters the log activity by --from and --to only.").then("Leave out --async to stream it with the other filters."));
        }
        if !filters.is_empty() {
            filters.insert("junction".to_owned(), "and".into());
        }
        Ok(filters)
    }
}

/// The operator for a pattern of an action, and what it compares with.
fn action_test(action: &str) -> Result<(&'static str, &str), Failure> {
    let test = match (action.strip_suffix('*'), action.strip_prefix('*')) {
        (Some(start), _) if !start.is_empty() => ("$starts_with", start),
        (_, Some(end)) if !end.is_empty() => ("$ends_with", end),
        _ => ("$is", action),
    };
    if test.1.contains('*') {
        return Err(Failure::usage("A task takes one * in --action, at its beginning or its end.").then("Leave out --async to stream with any pattern."));
    }
    Ok(test)
}

/// A bar for people, or a line now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    said: Instant,
}

impl Progress {
    pub(super) fn new(length: u64, template: &str) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, said: Instant::now() }
    }
    pub(super) fn at(&mut self, position: u64, words: impl FnOnce() -> String) {
        self.bar.set_position(position);
        if self.bar.is_hidden() && self.said.elapsed() >= NOW_AND_THEN {
            self.said = Instant::now();
            out::note(words());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

async fn wait(remote: &Remote, id: ExportId) -> Result<View, Failure> {
    let mut progress = Progress::new(100, "{bar:40} {pos} % {msg}");
    let mut pause = FIRST_LOOK;
    loop {
        let view = View::get(remote, id).await?;
        if view.is_finished()? {
            return Ok(view);
        }
        progress.bar.set_message(view.state.name());
        progress.at(view.progress, || format!("{}, {} %", view.state.name(), view.progress));
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LAST_LOOK);
    }
}

/// Asks for an export or takes one that was asked for, and fetches it if that is wanted.
pub(crate) async fn run(export: &Export, remote: &Remote) -> Result<ExitCode, Failure> {
    export.check()?;
    let id = match export.export {
        Some(id) => id,
        None => {
            let view = View::read(&remote.post("/v1/exports", Some(&export.request()?)).await?)?;
            // Standard output may be where the file goes.
            if export.wait {
                out::note(format_args!("export   {}\ntask     {}", view.id, view.task));
            } else {
                out::line(format_args!("export   {}\ntask     {}", view.id, view.task))?;
            }
            view.id
        }
    };
    let Some(output) = export.output.as_deref().filter(|_| export.wait) else {
        out::note(format_args!("next:  {}", go_on(id, Path::new("FILE"))));
        return Ok(ExitCode::SUCCESS);
    };
    remote.leave(format!("The export is not stopped by that. To fetch it: {}", go_on(id, output)));
    let view = wait(remote, id).await?;
    fetch(remote, &view, output).await?;
    out::note(format_args!("rows     {}", out::grouped(view.rows)));
    out::note(format_args!("sha256   {}", view.sha256));
    Ok(ExitCode::SUCCESS)
}

/// The command that fetches an export and goes on with what is there of it.
pub(super) fn go_on(id: ExportId, output: &Path) -> String {
    format!("indelible export --async --wait --export {id} --output {}", output.display())
}
